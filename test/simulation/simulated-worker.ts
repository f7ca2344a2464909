/** The queue's workers in the simulated world: several jobs at a time, one per key, and what becomes of a job whose handler throws. */
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
  busy: number;
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
  start(worker: Omit<Worker, 'busy'>): void {
    this.#workers.add({ ...worker, busy: 0 });
    this.#clock.at(0, () => this.#pump());
  }

  #pump(): void {
    const nowMs = this.#clock.now().getTime();
    for (const worker of this.#workers) {
      if (!worker.process.alive) this.#workers.delete(worker);
      while (worker.process.alive && worker.busy < worker.concurrency && !worker.shutdown.aborted) {
        const job = this.#state.claimJob(worker.process.id, nowMs);
        if (job === null) break;
        void this.#work(worker, job);
      }
    }
    const dueMs = this.#state.nextDueMs(nowMs);
    if (dueMs !== null) this.#clock.at(dueMs - nowMs, () => this.#pump());
  }

  async #work(worker: Worker, job: SimulatedJob): Promise<void> {
    const { process, handlers, shutdown } = worker;
    worker.busy += 1;
    try {
      if (job.task === 'sweep') await handlers.sweep(shutdown);
      else if (job.key !== null) await handlers[job.task](job.key, shutdown);
      await this.#faults.effect(process, 'jobs.finish', () => this.#state.finishJob(job));
    } catch {
      if (process.alive) this.#state.askAgain(job, this.#clock.now().getTime() + backoffMs(job.attempts));
    } finally {
      worker.busy -= 1;
      if (process.alive) this.#clock.at(0, () => this.#pump());
    }
  }
}
