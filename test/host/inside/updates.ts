/**
 * Updates without a lost request, and promise R11, through the real door: a preview in its containers is updated, and the operator is killed, while it is
 * asked at a steady rate, half of the requests on kept connections and half on new ones. BERTH_UPDATES, BERTH_RATE and BERTH_KILLS make it longer;
 * `npm run bench -- updates` runs the whole of it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { eventually, host, hostStatus } from './a-host-runtime.ts';
import { anOperator, shopAt, shows, startOperator, preview } from './an-operator.ts';

const shop = 'shop-1.preview.test';
const updates = Number(process.env['BERTH_UPDATES'] ?? 3);
const perSecond = Number(process.env['BERTH_RATE'] ?? 200);
const kills = Number(process.env['BERTH_KILLS'] ?? 10);

interface Counted {
  readonly requests: number;
  readonly failed: number;
  readonly failures: readonly string[];
}

/** A steady load in a process of its own; what is returned ends it and tells what became of it. */
function startLoad(): () => Promise<Counted> {
  const script = resolve(import.meta.dirname, '../../../scripts/bench/routes/load.ts');
  const load = execFile('node', [script, shop, String(perSecond)]);
  const printed = text(load.stdout ?? assert.fail());
  return async () => {
    load.stdin?.end();
    return JSON.parse(await printed) as Counted;
  };
}

test('updates, and kills of the operator, under a steady load: no request fails', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  await repository.commit('feature', shopAt('1'), 'One');
  const pull = await repository.openPullRequest({ head: 'feature' });
  await shows(shop, 'version 1');

  const endFirst = startLoad();
  for (let version = 2; version < updates + 2; version += 1) {
    await pull.push(shopAt(String(version)));
    await shows(shop, `version ${version}`);
  }
  const updated = await endFirst();
  console.log(`updates: ${JSON.stringify({ updates, perSecond, ...updated })}`);
  assert.equal(updated.failed, 0, updated.failures.join('\n'));

  const endSecond = startLoad();
  for (let round = 0; round < kills; round += 1) {
    host('systemctl', 'kill', '--signal=SIGKILL', 'berth-operator');
    await eventually(() => hostStatus('systemctl', 'status', 'berth-operator') !== 0, 'the operator is gone');
    startOperator();
  }
  const killed = await endSecond();
  console.log(`kills: ${JSON.stringify({ kills, perSecond, ...killed })}`);
  assert.equal(killed.failed, 0, killed.failures.join('\n'));
  await pull.close();
  await eventually(async () => !(await preview('list', '--json')).includes('shop-1'), 'the preview is gone');
});
