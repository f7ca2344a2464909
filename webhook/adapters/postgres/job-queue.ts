/** JobQueue on graphile-worker. Jobs carry a key and nothing else; migrations/0002-jobs.sql says how asking twice becomes asking once. */
import type { Pool } from 'pg';
import { keyText } from '../../core/pull-request.ts';
import type { JobQueue } from '../../ports.ts';
import { rowsOf } from './connections.ts';

export type TaskName = 'reconcile' | 'report' | 'sweep';

/** There is one sweep; the queue wants a key for it all the same. */
const SWEEP_KEY = 'all';

/** Asks for a job, at once or at a time. What waits already takes place no later than it would have. */
export async function askForJob(pool: Pool, job: { task: TaskName; key: string; runAt?: Date }): Promise<void> {
  await rowsOf(pool, 'select berth.ask_for_jobs($1, array[$2], coalesce($3::timestamptz, now()))', [
    job.task,
    job.key,
    job.runAt ?? null,
  ]);
}

/** Asks for jobs; who works them off is a JobWorker’s business, in this process or another. */
export function jobQueue(pool: Pool): JobQueue {
  const at = (runAt: Date | undefined) => (runAt === undefined ? {} : { runAt });
  return {
    enqueueReconcile: (key, runAt) => askForJob(pool, { task: 'reconcile', key: keyText(key), ...at(runAt) }),
    enqueueReport: (key, runAt) => askForJob(pool, { task: 'report', key: keyText(key), ...at(runAt) }),
    enqueueSweep: (runAt) => askForJob(pool, { task: 'sweep', key: SWEEP_KEY, ...at(runAt) }),
  };
}

/** How many jobs there are by state, named as in /metrics. */
export async function countJobs(pool: Pool): Promise<Readonly<Record<'waiting' | 'running' | 'later', number>>> {
  const [row] = await rowsOf<{ waiting: number; running: number; later: number }>(
    pool,
    `select
       count(*) filter (where locked_at is null and run_at <= now()) as waiting,
       count(*) filter (where locked_at is not null) as running,
       count(*) filter (where locked_at is null and run_at > now()) as later
     from graphile_worker.jobs`,
  );
  return row ?? { waiting: 0, running: 0, later: 0 };
}
