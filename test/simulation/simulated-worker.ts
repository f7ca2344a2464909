/** The queue's workers in the simulated world: several jobs at a time, one per key, and what becomes of a job whose handler throws. */
import { JOB_PATIENCE_MS } from '../../webhook/core/limits.ts';
import { backoffMs } from '../../webhook/core/outcome.ts';
import type { JobHandlers } from '../../webhook/ports.ts';
import type { Faults, SimulatedProcess } from './faults.ts';
import type { SimulatedJob, SimulatedState } from './simulated-state.ts';
import type { VirtualClock } from './virtual-clock.ts';

interface Worker {
  readonly process: SimulatedProcess;
  readonly handlers: JobHandlers;
  readonly shutdown: AbortSignal;
  readonly concurrency: number;
  readonly patienceMs?: number;
  /** Jobs that run, with when they began. */
  readonly running: Map<SimulatedJob, number>;
}

export class SimulatedWorkers {
  readonly #clock: VirtualClock;
  readonly #faults: Faults;
  readonly #state: SimulatedState;
  readonly #workers = new Set<Worker>();

  constructor(clock: VirtualClock, faults: Faults, state: SimulatedState) {
    this.#clock = clock;
    this.#faults = faults;
    this.#state = state;
    state.onJobs = () => clock.at(1, () => this.#pump());
  }

  /** A process begins to work off jobs, until `shutdown` fires or it dies. */
  start(worker: Omit<Worker, 'running'>): void {
    this.#workers.add({ ...worker, running: new Map() });
    this.#clock.at(0, () => this.#pump());
  }

  #pump(): void {
    const nowMs = this.#clock.now().getTime();
    for (const worker of this.#workers) {
      if (!worker.process.alive) this.#workers.delete(worker);
      while (worker.process.alive && !worker.shutdown.aborted) {
        const waitMs = this.#untilPlaceMs(worker, nowMs);
        if (waitMs > 0) {
          if (waitMs < Infinity) this.#clock.at(waitMs, () => this.#pump());
          break;
        }
        const job = this.#state.claimJob(worker.process.id, nowMs);
        if (job === null) break;
        void this.#work(worker, job);
      }
    }
    const dueMs = this.#state.nextDueMs(nowMs);
    if (dueMs !== null) this.#clock.at(dueMs - nowMs, () => this.#pump());
  }

  /** Until something that runs has taken so long that it does not count any more; 0 when there is a place, Infinity when only an end makes one. */
  #untilPlaceMs({ running, concurrency, patienceMs = JOB_PATIENCE_MS }: Worker, nowMs: number): number {
    if (running.size < concurrency) return 0;
    if (running.size >= 2 * concurrency) return Infinity;
    const left = [...running.values()].map((sinceMs) => sinceMs + patienceMs - nowMs).filter((ms) => ms > 0);
    return left.length < concurrency ? 0 : Math.min(...left);
  }

  async #work(worker: Worker, job: SimulatedJob): Promise<void> {
    const { process, handlers, shutdown, running } = worker;
    running.set(job, this.#clock.now().getTime());
    try {
      if (job.task === 'sweep') await handlers.sweep(shutdown);
      else if (job.key !== null) await handlers[job.task](job.key, shutdown);
      await this.#faults.effect(process, 'jobs.finish', () => this.#state.finishJob(job));
    } catch {
      if (process.alive) this.#state.askAgain(job, this.#clock.now().getTime() + backoffMs(job.attempts));
    } finally {
      running.delete(job);
      if (process.alive) this.#clock.at(0, () => this.#pump());
    }
  }
}
