/** A batch of histories on a test host of its own: test/host/inside/histories.ts plays it there, and prints what came of it. */
import { join, resolve } from 'node:path';
import { bringUpTestHost } from '../host/test-host.ts';
import type { BatchOptions, BatchResult } from './real-batch.ts';

const player = join(resolve(import.meta.dirname, '../host/inside'), 'histories.ts');

/** Throws with the end of its output when it could not be played. */
export async function playOnTestHost({ seeds, faults }: BatchOptions): Promise<BatchResult> {
  await using host = await bringUpTestHost();
  const env = { BERTH_SEEDS: seeds.join(','), BERTH_FAULTS: faults.join(',') };
  const run = await host.run(['node', player], { cwd: '/tmp', env, reject: false });
  const result = /^histories: (\{.*\})$/m.exec(run.stdout)?.[1];
  if (result === undefined) throw new Error(`${run.stdout.slice(-4_000)}\n${run.stderr.slice(-4_000)}`);
  return JSON.parse(result) as BatchResult;
}
