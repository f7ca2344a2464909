import { OperatorError } from '../core/errors.ts';
import { JOB_TIMEOUT_MS } from '../core/limits.ts';
import type { PreviewKey } from '../core/pull-request.ts';
import type { Operator } from '../ports.ts';
import { reconcilePreview } from '../reconcile/reconcile-preview.ts';

/** When another operator holds the preview, it is looked at again this much later. */
const LOCK_RETRY_MS = 1_000;

/** The job of one preview: takes the lock and its proof, sets the deadline, and reconciles. */
export async function reconcilePreviewTask(op: Operator, key: PreviewKey, shutdown: AbortSignal): Promise<void> {
  await using lock = await op.store.lock(key);
  if (lock === null) {
    await op.jobs.enqueueReconcile(key, new Date(op.clock.now().getTime() + LOCK_RETRY_MS));
    return;
  }
  const work = new AbortController();
  const over = new AbortController();
  const stop = () => work.abort(new OperatorError('SHUTTING_DOWN', 'The operator is stopping.'));
  if (shutdown.aborted) stop();
  shutdown.addEventListener('abort', stop, { once: true });
  const deadline = op.clock.sleep(JOB_TIMEOUT_MS, over.signal).then(
    () => work.abort(new OperatorError('RUNTIME_FAILED', 'The work did not end in its time.')),
    () => undefined,
  );
  try {
    await reconcilePreview(op, lock, work.signal);
  } finally {
    over.abort();
    shutdown.removeEventListener('abort', stop);
    await deadline;
  }
}
