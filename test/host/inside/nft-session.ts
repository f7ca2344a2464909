/** The nft that stays: a script is in force as a whole or not at all, its answer is its own, and killing it loses none. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openNftSession } from '../../../webhook/hostd/nft-session.ts';
import { lookScript } from '../../../webhook/hostd/ruleset.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { host, hostd, startHostd } from './a-host-runtime.ts';

const session = openNftSession();
before(() => host('nft', 'add table inet t; add map inet t answers { type ipv4_addr : ipv4_addr; }'));
after(() => {
  session.close();
  host('nft', 'delete', 'table', 'inet', 't');
});

const add = (index: number) => `add element inet t answers { 10.9.9.${index} : 10.8.8.8 }\n`;
const remove = (index: number) => `delete element inet t answers { 10.9.9.${index} }\n`;
const has = (index: number) => host('nft', 'list', 'map', 'inet', 't', 'answers').includes(`10.9.9.${index} :`);

test('a script with one command that fails changes nothing, and the next one is not blamed for it', async () => {
  assert.equal(await session.apply(add(1)), true);
  for (const failing of [remove(2), 'add element inet t no_such_map { 10.9.9.1 }\n', 'delet element\n'])
    assert.equal(await session.apply(remove(1) + failing), false, failing);
  assert.equal(has(1), true);
  assert.equal(await session.apply(remove(1)), true);
  assert.equal(has(1), false);
});

test('each of many at once has its own answer', async () => {
  const scripts = Array.from({ length: 200 }, (_, index) => (index % 3 === 0 ? remove(index + 10) : add(index + 10)));
  const answers = await Promise.all(scripts.map((script) => session.apply(script)));
  assert.deepEqual(
    answers,
    scripts.map((_, index) => index % 3 !== 0),
  );
});

test('after some hundred transactions another nft takes over, and none of them is lost', async () => {
  const pids = () => host('pgrep', '--exact', 'nft').split('\n');
  const [first] = pids();
  for (let round = 0; round < 400; round += 1) {
    const applied = await Promise.all([session.apply(add(1)), session.apply(remove(1))]);
    assert.deepEqual(applied, [true, true]);
  }
  await waitUntil('the first one has ended, and one has taken over', () => pids().length === 1 && pids()[0] !== first);
  assert.equal(has(1), false);
});

test('killed while it works: the answer still says what the kernel has', async () => {
  for (let round = 0; round < 10; round += 1) {
    const answer = session.apply(add(1));
    host('pkill', '--signal', 'KILL', '--exact', 'nft');
    const isApplied = await answer;
    assert.equal(isApplied, true, 'adding twice is no error');
    assert.equal(has(1), true);
    assert.equal(await session.apply(remove(1)), true);
  }
});

test('the look for our tables changes nothing, and says when one of them is gone', async () => {
  startHostd();
  host('systemctl', 'stop', 'berth-hostd');
  const rules = () => host('nft', 'list', 'ruleset');
  const before = rules();
  assert.equal(await session.apply(lookScript), true);
  assert.equal(rules(), before);
  host('nft', 'delete', 'table', 'inet', 'berth_answers');
  assert.equal(await session.apply(lookScript), false);
  startHostd();
  await hostd.ask({ verb: 'list-answers' });
  assert.equal(await session.apply(lookScript), true, 'hostd has put it back at its start');
  host('systemctl', 'stop', 'berth-hostd');
  host('nft', 'delete', 'table', 'inet', 'berth');
  assert.equal(await session.apply(lookScript), false);
});
