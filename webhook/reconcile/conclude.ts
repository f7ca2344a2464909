/** The only place that writes the verdict of a run: what failed and when to look again, or that all is as wanted. */
import { RETRY_MAX_MS } from '../core/limits.ts';
import { failureFrom, type RunResult } from '../core/outcome.ts';
import { isFailureCurrent, type PreviewRecord } from '../core/preview.ts';
import { withoutSecrets } from '../core/redaction.ts';
import { targetInstance } from '../core/plan.ts';
import { isHoldOver, type Desired } from '../core/policy.ts';
import type { Operator, PreviewLock } from '../ports.ts';
import type { Look } from './observe.ts';

/** Whether the run should look once more at once, or is over. */
export type Next = 'again' | 'rest';

type Concluding = Pick<Operator, 'store' | 'jobs' | 'secrets' | 'clock' | 'log'>;

/** Saves what came of a run and asks for the next look, where one is due. */
export async function conclude(op: Concluding, lock: PreviewLock, look: Look, run: RunResult): Promise<Next> {
  const record = await op.store.load(lock.key);
  if (record === null) {
    await op.jobs.enqueueReport(lock.key);
    return 'rest';
  }
  const next = await concludeRun(op, lock, record, { look, run });
  // Last: whoever waits for a verdict finds it.
  if (isVerdict(run) && record.concludedGeneration < look.generation)
    await op.store.saveConcluded(lock, look.generation);
  return next;
}

/** Not what was overtaken or waits for a moment: another run says how that ends. */
function isVerdict(run: RunResult): boolean {
  return run.kind === 'settled' || (run.kind === 'failed' && run.error.code !== 'SUPERSEDED');
}

async function concludeRun(
  op: Concluding,
  lock: PreviewLock,
  record: PreviewRecord,
  { look, run }: { look: Look; run: RunResult },
): Promise<Next> {
  if (record.doing !== null) await op.store.saveDoing(lock, null);
  switch (run.kind) {
    case 'failed':
      return concludeFailure(op, lock, record, run);
    case 'waiting':
      await clearFailure(op, lock, record, look);
      await op.jobs.enqueueReport(lock.key);
      if (run.retryAfterMs === 0) return 'again';
      await op.jobs.enqueueReconcile(lock.key, new Date(op.clock.now().getTime() + run.retryAfterMs));
      return 'rest';
    case 'settled':
      await clearFailure(op, lock, record, look);
      if (look.problem !== null) {
        return concludeFailure(op, lock, record, { kind: 'failed', step: 'look', sha: null, error: look.problem });
      }
      if (run.steps === 0) await liftHold(op, lock, record, look.desired);
      // Also when nothing was done: a run before us may have been killed between doing and telling.
      await op.jobs.enqueueReport(lock.key);
      // A second look confirms that all is as wanted now, and finds what became superfluous.
      return run.steps > 0 ? 'again' : 'rest';
  }
}

/**
 * An operator's word is over once the preview has come to rest at another head than the one that it was about, so that it does not come back with
 * that head. Not sooner: one look may have been answered with old news.
 */
async function liftHold(op: Concluding, lock: PreviewLock, { hold }: PreviewRecord, desired: Desired): Promise<void> {
  if (hold !== null && isHoldOver(hold, desired)) await op.store.liftHold(lock, hold);
}

async function concludeFailure(
  op: Concluding,
  lock: PreviewLock,
  record: PreviewRecord,
  run: Extract<RunResult, { kind: 'failed' }>,
): Promise<Next> {
  if (run.error.code === 'SUPERSEDED') return 'again';
  // The job stays in the queue: whoever is alive next picks it up.
  if (run.error.code === 'SHUTTING_DOWN') throw run.error;

  // Before it is written down anywhere. Comment, status page and command line show what is stored.
  const error = withoutSecrets(run.error, await secretsOf(op, record));
  const failure = failureFrom({ ...run, error }, record.failure, op.clock.now());
  op.log.warn(
    { code: error.code, step: run.step, sha: run.sha, attempts: failure.attempts, err: error.cause ?? error },
    'a step failed',
  );
  // Trouble with what still answers must not overwrite why the wanted commit failed: that would have it built again and again.
  const wantedSha = record.wanted?.presence === 'present' ? record.wanted.revision.sha : null;
  const isSettled = record.failure !== null && record.failure.retry !== 'later' && isFailureCurrent(record, wantedSha);
  if (isSettled && run.sha !== wantedSha) {
    await op.jobs.enqueueReconcile(lock.key, new Date(op.clock.now().getTime() + RETRY_MAX_MS));
    return 'rest';
  }
  const target = record.wanted?.presence === 'present' ? targetInstance(record, record.wanted.revision) : null;
  const isGivenUp =
    failure.nextAttemptAt === null &&
    target !== null &&
    target.name !== record.answering &&
    target.revision.sha === run.sha;
  await op.store.saveFailure(lock, failure, isGivenUp ? target.name : undefined);
  await op.jobs.enqueueReport(lock.key);
  if (failure.nextAttemptAt !== null) await op.jobs.enqueueReconcile(lock.key, failure.nextAttemptAt);
  // The next look stops what still runs of an instance that was given up.
  return isGivenUp ? 'again' : 'rest';
}

/** What its apps were given and its readers were not. */
async function secretsOf(op: Pick<Operator, 'secrets'>, record: PreviewRecord): Promise<string[]> {
  const names = new Set(record.instances.flatMap(({ manifest }) => manifest?.secrets ?? []));
  // One by one: a name that was taken from the repository since is refused, and must not keep the others.
  const read = [...names].map((name) => op.secrets.read(record.repository, [name]));
  const values = (await Promise.allSettled(read)).flatMap((each) =>
    each.status === 'fulfilled' ? Object.values(each.value) : [],
  );
  return record.database === null ? values : [...values, record.database.password];
}

/** A stored failure is over when what it spoke of is as wanted now. A failure that a person has to deal with stays until then. */
async function clearFailure(op: Concluding, lock: PreviewLock, record: PreviewRecord, look: Look): Promise<void> {
  if (record.failure === null || look.problem !== null) return;
  if (record.failure.step === 'look' || isAsWanted(record, look.desired)) await op.store.saveFailure(lock, null);
}

function isAsWanted(record: PreviewRecord, desired: Desired): boolean {
  switch (desired.kind) {
    case 'present': {
      const target = targetInstance(record, desired.revision);
      const isLive = target !== null && target.name === record.answering && target.healthyAt !== null;
      return isLive || !isFailureCurrent(record, desired.revision.sha);
    }
    case 'refused':
    case 'absent':
      return record.instances.length === 0;
    case 'unknown':
      return false;
  }
}
