/** While a run works, someone may want something newer: then its work is given up, whole process group and all. */
import { OperatorError } from '../core/errors.ts';
import { SUPERSEDE_POLL_MS } from '../core/limits.ts';
import type { Desired } from '../core/policy.ts';
import type { PreviewRecord } from '../core/preview.ts';
import type { Operator } from '../ports.ts';
import { observeDesired } from './observe.ts';

/**
 * Fires with SUPERSEDED when something was asked since `record` was loaded and GitHub then wants another thing than `desired`.
 * What was asked without a change of what is wanted (a comment edited, a label) disturbs nothing.
 */
export function watchForNewer(
  op: Pick<Operator, 'store' | 'clock' | 'policy' | 'pullRequests' | 'log'>,
  record: PreviewRecord,
  desired: Desired,
  outer: AbortSignal,
): { signal: AbortSignal } & AsyncDisposable {
  const superseded = new AbortController();
  const over = new AbortController();
  const signal = AbortSignal.any([outer, superseded.signal]);
  const watching = watch(AbortSignal.any([outer, over.signal]));

  async function watch(ended: AbortSignal): Promise<void> {
    let seen = record.generation;
    while (!ended.aborted) {
      try {
        await op.clock.sleep(SUPERSEDE_POLL_MS, ended);
        const generation = await op.store.generation(record.key);
        if (generation === seen) continue;
        const latest = await op.store.load(record.key);
        const now = latest === null ? null : await observeDesired(op, latest, ended);
        if (now?.problem === null && !isSameDesire(now.desired, desired)) {
          superseded.abort(new OperatorError('SUPERSEDED', 'Something newer is wanted.'));
          return;
        }
        if (now?.problem === null) seen = generation;
      } catch (error) {
        if (!ended.aborted) op.log.warn({ err: error }, 'could not look whether something newer is wanted');
      }
    }
  }

  return {
    signal,
    async [Symbol.asyncDispose]() {
      over.abort();
      await watching;
    },
  };
}

function isSameDesire(a: Desired, b: Desired): boolean {
  if (a.kind !== b.kind) return false;
  return a.kind !== 'present' || (b.kind === 'present' && a.revision.sha === b.revision.sha);
}
