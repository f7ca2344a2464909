/** For each job that takes long, a worker more: setups that hang must not keep everybody else waiting. */
import type { Log } from '../../ports.ts';

/** Each listens for jobs on a connection of its own. */
export const EXTRA_WORKERS_MAX = 4;

/** A worker that takes one job at a time. `stop` lets it finish the one it has. */
export interface ExtraWorker {
  stop(): Promise<void>;
}

interface SlowJobsOptions {
  /** Workers more at most, however many jobs take long. */
  readonly max: number;
  readonly patienceMs: number;
  readonly start: () => Promise<ExtraWorker>;
  readonly log: Log;
}

export interface SlowJobs {
  /** Does the work; from `patienceMs` on until its end, there is a worker more. */
  during(work: () => Promise<void>): Promise<void>;
  /** No worker more from now on. Resolves when those that there are have finished. */
  end(): Promise<void>;
}

/** Starts workers when jobs take long, and stops as many when these end. A worker that cannot be started is logged, and done without. */
export function slowJobs({ max, patienceMs, start, log }: SlowJobsOptions): SlowJobs {
  let slow = 0;
  let hasEnded = false;
  const extra: Promise<ExtraWorker | null>[] = [];
  const stopping = new Set<Promise<void>>();

  const begin = async () => {
    try {
      return await start();
    } catch (error) {
      log.warn({ err: error }, 'no worker could be added beside a job that takes long');
      return null;
    }
  };
  const stopOne = (worker: Promise<ExtraWorker | null>) => {
    const stopped = worker
      .then((each) => each?.stop())
      .catch((error: unknown) => log.warn({ err: error }, 'a worker beside a job that took long did not stop'));
    stopping.add(stopped);
    void stopped.finally(() => stopping.delete(stopped));
  };
  const adjust = () => {
    const wanted = hasEnded ? 0 : Math.min(slow, max);
    while (extra.length < wanted) extra.push(begin());
    for (const worker of extra.splice(wanted)) stopOne(worker);
  };
  return {
    async during(work) {
      let isSlow = false;
      const patience = setTimeout(() => {
        isSlow = true;
        slow += 1;
        adjust();
      }, patienceMs);
      try {
        await work();
      } finally {
        clearTimeout(patience);
        if (isSlow) slow -= 1;
        adjust();
      }
    },
    async end() {
      hasEnded = true;
      adjust();
      await Promise.all(stopping);
    },
  };
}
