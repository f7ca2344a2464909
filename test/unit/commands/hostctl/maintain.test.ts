import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { AHost } from '../../../support/a-host.ts';

test('maintain collects garbage at most once per interval, and keeps the newest generations', () => {
  using host = new AHost();
  host.generations(90, 80, 70, 60, 1);
  host.settings = { ...host.settings, gc: { keepGenerations: 3, olderThan: '30d', intervalHours: 24 } };
  const first = host.hostctl('maintain');
  assert.equal(first.status, 0, first.stderr);
  assert.deepEqual(host.ran(), [`nix-env --profile ${host.profile} --delete-generations 1 2`, 'nix-store --gc']);
  assert.match(String(host.hostctl('maintain').json['summary']), /gc: not due before/);
  assert.equal(host.ran().length, 2);

  const dayAndMore = new Date(Date.now() - 25 * 3600 * 1000).toISOString();
  writeFileSync(join(host.state, 'last-collection'), dayAndMore);
  assert.equal(host.hostctl('maintain').status, 0);
  assert.equal(host.ran().length, 4);

  const future = new Date(Date.now() + 9e9).toISOString();
  writeFileSync(join(host.state, 'last-collection'), future);
  assert.equal(host.hostctl('maintain').status, 0);
  assert.equal(host.ran().length, 6, 'a time in the future is a clock that was wrong');
});

test('gc full says that rollback history is lost, and does nothing without --yes', () => {
  using host = new AHost();
  host.generations(3, 2, 1);
  const unasked = host.hostctl('gc', 'full');
  assert.equal(unasked.status, 3);
  assert.match(String(unasked.json['error']), /removes 2 generations: no rollback is left/);
  assert.deepEqual(host.ran(), []);
  assert.equal(host.hostctl('--yes', 'gc', 'full').status, 0);
  assert.deepEqual(host.ran(), [`nix-env --profile ${host.profile} --delete-generations 1 2`, 'nix-store --gc']);
});

test('gc takes whole days and nothing that nix would read differently', () => {
  using host = new AHost();
  host.generations(30, 20, 1);
  host.settings = { ...host.settings, gc: { keepGenerations: 1 } };
  for (const age of ['14', '2w', '-1d', '0d', '1d;id', '--help=1d', '99999d']) {
    assert.equal(host.hostctl('gc', '--', age).status, 2, age);
  }
  assert.equal(host.hostctl('gc', '25d').status, 0);
  assert.deepEqual(host.ran()[0], `nix-env --profile ${host.profile} --delete-generations 1`);
});

test('a failed collection is not remembered as done', () => {
  using host = new AHost();
  host.generations(1);
  host.program('nix-store', 'exit 1');
  assert.equal(host.hostctl('gc').status, 1);
  assert.equal(existsSync(join(host.state, 'last-collection')), false);
});

test('maintenance.log turns over at 1 MB and keeps three', () => {
  using host = new AHost();
  host.generations(1);
  mkdirSync(dirname(host.log));
  for (let turn = 1; turn <= 5; turn += 1) {
    writeFileSync(host.log, `turn ${turn}\n${'x'.repeat(1024 * 1024)}`);
    assert.equal(host.hostctl('sync').status, 0);
    assert.ok(statSync(host.log).size < 1024, 'the live log starts anew');
  }
  const firstLine = (age: number) => readFileSync(`${host.log}.${age}`, 'utf8').slice(0, 6);
  assert.deepEqual([firstLine(1), firstLine(2), firstLine(3)], ['turn 5', 'turn 4', 'turn 3']);
  assert.equal(existsSync(`${host.log}.4`), false);

  writeFileSync(host.log, 'x'.repeat(1024 * 1024 - 1));
  assert.equal(host.hostctl('sync').status, 0);
  assert.ok(statSync(host.log).size > 1024 * 1024, 'below 1 MB nothing is turned over');
});
