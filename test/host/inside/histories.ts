/**
 * Random histories of pull requests on the stack of a host, with lost deliveries, a GitHub that fails, and kill -9 of the operator, of hostd and of both:
 * the host is afterwards what GitHub says, and has nothing of any preview when all are closed. BERTH_SEEDS and BERTH_FAULTS say which histories;
 * `npm run simulate -- --world host` plays more of them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REAL_FAULT_KINDS } from '../../simulation/faults.ts';
import { hostStage } from '../../simulation/host-stage.ts';
import { playBatch } from '../../simulation/real-batch.ts';

const fresh = Math.floor(Math.random() * 2 ** 31);
const seeds = (process.env['BERTH_SEEDS'] ?? `${fresh},${fresh + 1},${fresh + 2}`).split(',').map(Number);
const wanted = process.env['BERTH_FAULTS']?.split(',');
const faults = REAL_FAULT_KINDS.filter((kind) => wanted?.includes(kind) ?? true);

test(`R2, R3 on a host: the histories ${seeds[0]} to ${seeds.at(-1)}`, async () => {
  const result = await playBatch({ seeds, faults, openStage: hostStage });
  console.log(`histories: ${JSON.stringify(result)}`);
  assert.deepEqual(
    result.failures.map((failure) => failure.story.join('\n')),
    [],
  );
});
