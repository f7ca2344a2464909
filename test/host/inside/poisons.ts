/**
 * Promise R8 on the real stack: a preview that is asked all along, and is updated, beside others with every kind of poison, three at a time. BERTH_POISONS
 * says how many kinds; `npm run bench -- poisons` takes all of them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FakePullRequest } from '../../support/fake-github/pull-request.ts';
import { eventually } from './a-host-runtime.ts';
import { anOperator, preview, shopAt, shows, startProbes } from './an-operator.ts';
import { poisons, type Poison } from './a-poison-cabinet.ts';

const shop = 'shop-1.preview.test';
const asked = process.env['BERTH_POISONS'] ?? '8';
const kinds = poisons.slice(0, asked === 'all' ? poisons.length : Number(asked));
/** One less than there are places for work: when hung previews keep all of them, others wait for half a minute (docs/reference/reliability.md). */
const sideBySide = 3;

/** What became of it on the way: success (poison that shows later), failure, or pending (it hangs, and is closed like that). */
function verdictOn(pull: FakePullRequest): string {
  return pull.statuses.findLast(({ sha }) => sha === pull.head)?.state ?? 'pending';
}

const isRemoved = (pull: FakePullRequest) => pull.comments.at(-1)?.body.includes('**Preview** removed') === true;

test('one healthy preview beside every kind of poison: none of its requests fails, its updates succeed, and another comes and goes', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  await repository.commit('feature', shopAt('1'), 'One');
  const neighbour = await repository.openPullRequest({ head: 'feature' });
  await shows(shop, 'version 1');
  const verdicts: Record<string, number> = {};
  const take = async ({ name, files }: Poison, at: number) => {
    await repository.commit(`poison-${at}`, files, name);
    const pull = await repository.openPullRequest({ head: `poison-${at}` });
    const bound = performance.now() + 12_000;
    await eventually(() => verdictOn(pull) !== 'pending' || performance.now() > bound, name);
    const verdict = verdictOn(pull);
    verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
    if (process.env['BERTH_SHOW'] !== undefined) console.log(`${verdict}: ${name}`);
    await pull.close();
    await eventually(() => pull.comments.length === 0 || isRemoved(pull), `${name} is removed`);
  };

  const stopProbes = await startProbes(shop);
  let taken = 0;
  let rounds = 0;
  const takers = Promise.all(
    Array.from({ length: sideBySide }, async () => {
      while (taken < kinds.length) {
        const at = taken;
        taken += 1;
        const kind = kinds[at];
        if (kind !== undefined) await take(kind, at);
      }
    }),
  );
  try {
    // Updates among them, and one when all are through; and another healthy one, opened and closed each time.
    await repository.commit('beside', shopAt('beside'), 'Beside');
    const beside = await repository.openPullRequest({ head: 'beside' });
    for (let version = 2; taken < kinds.length; version += 1) {
      await neighbour.push(shopAt(String(version)));
      await shows(shop, `version ${version}`);
      await shows(`shop-${beside.number}.preview.test`, 'version beside');
      await beside.close();
      await eventually(() => isRemoved(beside), 'the one beside is removed');
      await beside.reopen();
      rounds += 1;
    }
    await beside.close();
    await takers;
  } finally {
    await takers.catch(() => undefined);
    const probes = await stopProbes();
    console.log(
      `poisons: ${JSON.stringify({ kinds: taken, requests: probes.asked, failed: probes.failed, rounds, ...verdicts })}`,
    );
    assert.equal(probes.failed, 0, `${probes.failed} of ${probes.asked} requests failed`);
  }
  await neighbour.push(shopAt('last'));
  await shows(shop, 'version last');
  await neighbour.close();
  await eventually(async () => JSON.parse(await preview('list', '--json')).previews.length === 0, 'nothing is left');
});
