import { isDeepStrictEqual } from 'node:util';
import { PASSES_MAX } from '../core/limits.ts';
import { planFor } from '../core/plan.ts';
import type { PreviewRecord } from '../core/preview.ts';
import type { Operator, PreviewLock } from '../ports.ts';
import { conclude } from './conclude.ts';
import { lookAtPreview, wantedFrom, type Look } from './observe.ts';
import { runSteps } from './run-steps.ts';
import { watchForNewer } from './supersede.ts';
import { tellProgress } from './tell-progress.ts';

/**
 * Brings one preview to what its pull request asks for, as far as it can get now.
 *
 * Safe to run at any time, any number of times, and to be killed anywhere: it looks at the world first and trusts nothing that it
 * was told. A webhook, the sweep, the command line, a retry and start-up all enter here. Failures are written down, not thrown; it
 * throws only when the state itself cannot be read or written, or `signal` fires, and then the job is simply done again.
 */
export async function reconcilePreview(op: Operator, lock: PreviewLock, signal: AbortSignal): Promise<void> {
  for (let pass = 1; pass <= PASSES_MAX; pass += 1) {
    const record = await op.store.load(lock.key);
    // Forgotten, perhaps by a run that was killed before it could tell: asking twice is asking once.
    if (record === null) return op.jobs.enqueueReport(lock.key);

    const look = await lookAtPreview(op, record, signal);
    await noteWanted(op, lock, record, look);

    const plan = planFor(look.desired, record, look.world, op.clock.now());
    await using watch = watchForNewer(op, record, look.desired, signal);
    const run = await runSteps(op, lock, look, plan, watch.signal);

    if ((await conclude(op, lock, look, run)) === 'rest') return;
  }
  // Still not at rest: something keeps undoing our work, or is asked faster than we act. Others get their turn first.
  await op.jobs.enqueueReconcile(lock.key);
}

/** What is wanted, as a fact that people can be shown; they are told when it is news. */
async function noteWanted(op: Operator, lock: PreviewLock, record: PreviewRecord, look: Look): Promise<void> {
  const wanted = wantedFrom(look.desired);
  const repository = 'repository' in look.desired ? look.desired.repository : record.repository;
  if (wanted === null || (isDeepStrictEqual(wanted, record.wanted) && repository === record.repository)) return;
  await Promise.all([op.store.saveWanted(lock, wanted, repository), tellProgress(op, lock.key)]);
}
