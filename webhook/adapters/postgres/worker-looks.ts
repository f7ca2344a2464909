/**
 * When workers look for a job beyond what graphile-worker makes them do. A look is dear (it locks all idle queues, 2 to 3 ms of PostgreSQL), so they do not
 * look on the off chance.
 *
 * Of two looks for a job at the same moment one may find nothing although there is a job: graphile-worker locks all idle queues while it looks (0.18,
 * dist/sql/getJobs.js, "strategy 2"). Who was told of a job and looked in vain would look again at the next poll only. Hence that look is repeated a few
 * milliseconds later. Not the look after a job: where many jobs wait, workers that get in each other's way would take them out of order.
 */
import type { Worker, WorkerEvents } from 'graphile-worker';

/** A look takes about a millisecond; on a busy machine ten. */
const REPEAT_AFTER_MS = [5, 20] as const;

/** Node's timers may be this much early. */
const TIMER_TOLERANCE_MS = 2;

interface Waiting {
  /** From when on the worker looks by itself, and not because it was told of a job. */
  pollAt: number;
  repeats: number;
  isRepeat: boolean;
  isReleased: boolean;
  timer?: NodeJS.Timeout;
}

/** The looks of workers that have nothing to do. */
export interface WorkerLooks {
  /** From now on for the workers of these events too, who do these tasks: who was told of a job and found none looks again. */
  follow(events: Pick<WorkerEvents, 'on'>, tasks: readonly string[]): void;
  /** Everybody who does one of these tasks looks, once: a job is due, of which nobody was told. */
  lookNow(tasks: readonly string[]): void;
}

/** For workers that look by themselves every `pollIntervalMs`. `now` is for tests. */
export function workerLooks(pollIntervalMs: number, now: () => number = () => performance.now()): WorkerLooks {
  const all = new WeakMap<Worker, Waiting>();
  const idle = new Map<Worker, readonly string[]>();
  const of = (worker: Worker): Waiting => {
    const known = all.get(worker) ?? { pollAt: 0, repeats: 0, isRepeat: false, isReleased: false };
    all.set(worker, known);
    return known;
  };
  return {
    follow(events, tasks) {
      events.on('worker:getJob:start', ({ worker }) => {
        const waiting = of(worker);
        if (now() >= waiting.pollAt - TIMER_TOLERANCE_MS) waiting.repeats = REPEAT_AFTER_MS.length;
        else if (!waiting.isRepeat) waiting.repeats = 0;
      });
      events.on('worker:getJob:empty', ({ worker }) => {
        const waiting = of(worker);
        waiting.pollAt = now() + pollIntervalMs;
        if (waiting.isReleased) return;
        idle.set(worker, tasks);
        const pauseMs = REPEAT_AFTER_MS[waiting.repeats];
        if (pauseMs === undefined) return;
        waiting.repeats += 1;
        clearTimeout(waiting.timer);
        waiting.timer = setTimeout(() => {
          waiting.isRepeat = true;
          worker.nudge();
          waiting.isRepeat = false;
        }, pauseMs).unref();
      });
      events.on('job:start', ({ worker }) => idle.delete(worker));
      events.on('job:complete', ({ worker }) => {
        of(worker).pollAt = 0;
      });
      // A worker that was let go must not be asked for anything; it may still begin its first look.
      events.on('worker:release', ({ worker }) => {
        const waiting = of(worker);
        waiting.isReleased = true;
        idle.delete(worker);
        clearTimeout(waiting.timer);
      });
    },
    lookNow(tasks) {
      for (const [worker, own] of idle) {
        if (!own.some((task) => tasks.includes(task))) continue;
        // As after a pause of its own: such a look is not repeated.
        of(worker).pollAt = 0;
        worker.nudge();
      }
    },
  };
}
