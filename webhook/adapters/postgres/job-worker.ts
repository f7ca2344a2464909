/**
 * JobWorker on graphile-worker. What it adds: a worker whose process died is noticed within a second (graphile-worker alone waits
 * four hours), a handler that throws is asked for again with our own pauses, and a lost connection ends the work and begins it anew.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { run, type Runner, type Task, type TaskList } from 'graphile-worker';
import type { Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import { JOB_PATIENCE_MS } from '../../core/limits.ts';
import { backoffMs } from '../../core/outcome.ts';
import { parseKeyText, type PreviewKey } from '../../core/pull-request.ts';
import type { JobHandlers, JobWorker, Log } from '../../ports.ts';
import { rowsOf } from './connections.ts';
import { graphileLogger } from './graphile-logger.ts';
import { askForJob, type TaskName } from './job-queue.ts';
import type { Life, Liveness } from './liveness.ts';
import { EXTRA_WORKERS_MAX, slowJobs, type ExtraWorker, type SlowJobs } from './slow-jobs.ts';
import { workerLooks, type WorkerLooks } from './worker-looks.ts';

/** A job whose time has come is not announced, only found: one question for all workers, who look when there is one. */
const DUE_INTERVAL_MS = 250;

/** Each worker looks by itself as well, in case anything was missed: six of them every 250 ms took 4% of a core. */
const POLL_INTERVAL_MS = 5_000;

/** How often dead workers are looked for. A job that lost its worker is picked up after this, plus DUE_INTERVAL_MS. */
const REAP_INTERVAL_MS = 500;

/** How often rows of idle queues are deleted; every look for work locks all that are there. */
const GARBAGE_INTERVAL_MS = 10_000;

/** GitHub lets a delivery be sent again for three days; ten times that is remembered, looked through once an hour. */
const DELIVERIES_KEPT_DAYS = 30;
const DELIVERIES_INTERVAL_MS = 3_600_000;

/** Reports and the sweep have slots of their own, so that no build keeps a pull request from being told. */
const BRIEF_JOBS_AT_ONCE = 2;

/** Before trying again to start after PostgreSQL went away in the middle of starting. */
const RESTART_PAUSE_MS = 500;

/** graphile-worker's own shutdown, once no handler of ours runs: a handful of statements. */
const RUNNER_STOP_TIMEOUT_MS = 5_000;

interface WorkerOptions {
  readonly pool: Pool;
  readonly liveness: Liveness;
  readonly log: Log;
}

export function jobWorker(options: WorkerOptions): JobWorker {
  return {
    async start(handlers, { concurrency, patienceMs = JOB_PATIENCE_MS }) {
      const stopping = new AbortController();
      const failures = new Map<string, number>();
      const working = { ...options, handlers, concurrency, patienceMs, failures };
      let shift = await beginShift(working, await options.liveness.current());
      const done = (async () => {
        for (;;) {
          const isStopping = await shift.end(stopping.signal);
          if (isStopping) return;
          const next = await nextShift(working, stopping.signal);
          if (next === null) return;
          shift = next;
        }
      })();
      return {
        async stop() {
          stopping.abort(new OperatorError('SHUTTING_DOWN', 'The operator is stopping.'));
          await done;
        },
      };
    },
  };
}

type Working = WorkerOptions & {
  readonly handlers: JobHandlers;
  readonly concurrency: number;
  readonly patienceMs: number;
  /** Failures in a row by job key, for the pauses between them. Lost at a restart, which only makes a pause shorter. */
  readonly failures: Map<string, number>;
};

/** The work done during one life of the liveness connection. */
interface Shift {
  /** Resolves when the work has ended: true because of the signal, false because the connection or a runner broke. */
  end(stopping: AbortSignal): Promise<boolean>;
}

async function nextShift(working: Working, stopping: AbortSignal): Promise<Shift | null> {
  while (!stopping.aborted) {
    try {
      return await beginShift(working, await working.liveness.current(stopping));
    } catch (error) {
      working.log.debug({ err: error }, 'the worker cannot start yet');
      await delay(RESTART_PAUSE_MS, undefined, { signal: stopping }).catch(() => undefined);
    }
  }
  return null;
}

async function beginShift(working: Working, life: Life): Promise<Shift> {
  const ending = new AbortController();
  const inFlight = new Set<Promise<void>>();
  const poolIds = new Set<string>();
  const { concurrency, patienceMs, log } = working;
  const looks = workerLooks(POLL_INTERVAL_MS);
  const slow = slowJobs({
    max: Math.min(concurrency, EXTRA_WORKERS_MAX),
    patienceMs,
    start: () => startExtra(working, { life, looks, tasks: { reconcile: tasks.reconcile } }),
    log,
  });
  const tasks = taskList(working, { signal: ending.signal, inFlight, slow });
  const runners: Runner[] = [];
  const stopRunners = async () => {
    const stops = Promise.allSettled([slow.end(), ...runners.map((runner) => runner.stop())]);
    return Promise.race([stops, delay(RUNNER_STOP_TIMEOUT_MS, undefined, { ref: false })]);
  };
  try {
    const { reconcile, report, sweep } = tasks;
    runners.push(await startRunner(working, { life, looks, poolIds, tasks: { reconcile }, concurrency }));
    runners.push(
      await startRunner(working, { life, looks, poolIds, tasks: { report, sweep }, concurrency: BRIEF_JOBS_AT_ONCE }),
    );
  } catch (error) {
    await stopRunners();
    throw error;
  }
  const housekeeping = keepHouse(working, life, looks);

  return {
    async end(stopping) {
      const broken = Promise.race(runners.map((runner) => runner.promise.catch(() => undefined)));
      await Promise.race([aborted(stopping), aborted(life.lost), broken]);
      // First no new jobs, then the running ones: what is given back must not be picked up by ourselves.
      const stopped = stopRunners();
      ending.abort(stopping.aborted ? stopping.reason : (life.lost.reason ?? brokenRunner()));
      await Promise.allSettled(inFlight);
      await stopped;
      housekeeping.stop();
      for (const poolId of poolIds) await life.releaseWorkerPool(poolId).catch(() => undefined);
      return stopping.aborted;
    },
  };
}

function brokenRunner(): OperatorError {
  return new OperatorError('STATE_UNAVAILABLE', 'The job queue stopped working; it is started again.');
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

interface RunnerOptions {
  readonly life: Life;
  readonly looks: WorkerLooks;
  readonly poolIds: Set<string>;
  readonly tasks: TaskList;
  readonly concurrency: number;
}

async function startRunner(
  working: Working,
  { life, looks, poolIds, tasks, concurrency }: RunnerOptions,
): Promise<Runner> {
  const runner = await run({
    pgPool: working.pool,
    taskList: tasks,
    concurrency,
    noHandleSignals: true,
    pollInterval: POLL_INTERVAL_MS,
    logger: graphileLogger(working.log),
    preset: {
      worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 },
      plugins: [
        {
          name: 'BerthLivenessPlugin',
          version: '1',
          worker: {
            hooks: {
              // Awaited before a worker takes its first job: no job is ever locked by a pool that is not held as alive.
              startWorker: async (_context, { worker }) => {
                const poolId = worker.workerPool.id;
                if (poolIds.has(poolId)) return;
                poolIds.add(poolId);
                await life.holdWorkerPool(poolId);
              },
            },
          },
        },
      ],
    },
  });
  looks.follow(runner.events, Object.keys(tasks));
  // Its end is noticed by Shift.end; nobody else has to hear of it.
  runner.promise.catch(() => undefined);
  return runner;
}

async function startExtra(
  working: Working,
  { life, looks, tasks }: Pick<RunnerOptions, 'life' | 'looks' | 'tasks'>,
): Promise<ExtraWorker> {
  const poolIds = new Set<string>();
  const runner = await startRunner(working, { life, looks, poolIds, tasks, concurrency: 1 });
  return {
    async stop() {
      try {
        await runner.stop();
      } finally {
        // Also one that broke by itself: a job that it still has is then taken for lost, and done by another.
        for (const poolId of poolIds) await life.releaseWorkerPool(poolId);
      }
    },
  };
}

interface TaskContext {
  readonly signal: AbortSignal;
  readonly inFlight: Set<Promise<void>>;
  readonly slow: SlowJobs;
}

function taskList(working: Working, { signal, inFlight, slow }: TaskContext): Record<TaskName, Task> {
  const { handlers } = working;
  const task =
    (name: TaskName, handle: (key: string) => Promise<void>): Task =>
    async (payload) => {
      const { key } = payload as { key: string };
      const work = workOff(working, { task: name, key }, () => handle(key), signal);
      inFlight.add(work);
      try {
        await work;
      } finally {
        inFlight.delete(work);
      }
    };
  return {
    reconcile: task('reconcile', (key) => slow.during(() => handlers.reconcile(parsedKey(key), signal))),
    report: task('report', (key) => handlers.report(parsedKey(key), signal)),
    sweep: task('sweep', () => handlers.sweep(signal)),
  };
}

function parsedKey(text: string): PreviewKey {
  const key = parseKeyText(text);
  if (key === null) throw new Error(`a job has a key that we never write: ${JSON.stringify(text)}`);
  return key;
}

/**
 * Runs a handler. When it throws, the job is asked for again, later, and this one is over: so a failure never takes a place away from
 * a request that came in meanwhile. When we are stopping, it is asked for at once, for whoever is alive then.
 */
async function workOff(
  working: Working,
  job: { task: TaskName; key: string },
  handle: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { pool, log, failures } = working;
  const name = `${job.task}:${job.key}`;
  try {
    signal.throwIfAborted();
    await handle();
    failures.delete(name);
  } catch (error) {
    if (signal.aborted) {
      await askForJob(pool, job);
      return;
    }
    const attempts = (failures.get(name) ?? 0) + 1;
    failures.set(name, attempts);
    const pauseMs = (error instanceof OperatorError ? error.retryAfterMs : undefined) ?? backoffMs(attempts);
    log.warn({ err: error, job: name, attempts, pauseMs }, 'a job failed and is tried again later');
    await askForJob(pool, { ...job, runAt: new Date(Date.now() + pauseMs) });
  }
}

/** Tasks with a job that a worker would get: no other job of its queue is being done. */
async function dueTasks(pool: Pool): Promise<string[]> {
  const rows = await rowsOf<{ task: string }>(
    pool,
    `select distinct tasks.identifier as task
     from graphile_worker._private_jobs as jobs
     join graphile_worker._private_tasks as tasks on tasks.id = jobs.task_id
     left join graphile_worker._private_job_queues as queues on queues.id = jobs.job_queue_id
     where jobs.is_available and jobs.run_at <= now() and queues.locked_at is null`,
  );
  return rows.map((row) => row.task);
}

/** Has due jobs found, frees those of dead workers, and deletes what the queue leaves behind, until stopped. */
function keepHouse({ pool, log }: Working, life: Life, looks: WorkerLooks): { stop(): void } {
  const every = (ms: number, what: string, work: () => Promise<void>) => {
    let isBusy = false;
    const timer = setInterval(() => {
      if (isBusy || life.lost.aborted) return;
      isBusy = true;
      work()
        .catch((error: unknown) => log.warn({ err: error }, `${what} failed; it is tried again`))
        .finally(() => (isBusy = false));
    }, ms);
    return timer;
  };
  const timers = [
    every(DUE_INTERVAL_MS, 'looking for jobs that are due', async () => {
      looks.lookNow(await dueTasks(pool));
    }),
    every(REAP_INTERVAL_MS, 'looking for dead workers', async () => {
      const dead = await life.deadWorkerPools();
      if (dead.length === 0) return;
      await rowsOf(pool, 'select graphile_worker.force_unlock_workers($1)', [dead]);
      log.warn({ workers: dead }, 'freed the jobs of workers that died');
    }),
    every(GARBAGE_INTERVAL_MS, 'cleaning the queue', async () => {
      await rowsOf(pool, 'select berth.collect_job_garbage()');
    }),
    every(DELIVERIES_INTERVAL_MS, 'forgetting old deliveries', async () => {
      await rowsOf(pool, 'delete from berth.deliveries where received_at < now() - make_interval(days => $1)', [
        DELIVERIES_KEPT_DAYS,
      ]);
    }),
  ];
  return { stop: () => timers.forEach((timer) => clearInterval(timer)) };
}
