/** Everything that Berth keeps in PostgreSQL, behind its ports. */
import type { OperatorError } from '../../core/errors.ts';
import type { AddressPool } from '../../core/slots.ts';
import type { JobQueue, JobWorker, Log, PreviewStore } from '../../ports.ts';
import { connectionConfig, openPool } from './connections.ts';
import { intakeState, type IntakeState } from './intake-state.ts';
import { countJobs, jobQueue } from './job-queue.ts';
import { jobWorker } from './job-worker.ts';
import { openLiveness } from './liveness.ts';
import { migrate } from './migrate.ts';
import { previewStore } from './preview-store.ts';
import { EXTRA_WORKERS_MAX } from './slow-jobs.ts';

/** Queries of the operator are short; ten connections keep two cores busy. The others listen for jobs. */
const POOL_MAX = 10 + 2 + EXTRA_WORKERS_MAX;

export interface StateOptions {
  readonly url: string;
  /** The range that slots are numbered in. */
  readonly pool: AddressPool;
  /** Name of this host's slot counter. */
  readonly host?: string;
  readonly log: Log;
  /** Our locks are lost: whatever was running has been aborted. Work begins again by itself when PostgreSQL is back. */
  readonly onFenced?: (reason: OperatorError) => void;
}

export interface State extends IntakeState {
  readonly store: PreviewStore;
  readonly jobs: JobQueue;
  readonly worker: JobWorker;
  /** Jobs in the queue by state: `waiting` for a worker, `running`, or asked for `later`. */
  readonly countJobs: () => Promise<Readonly<Record<string, number>>>;
  /** Whether PostgreSQL takes deliveries and our locks are held. Never throws. */
  readonly isReady: () => Promise<boolean>;
  /** Closes every connection. Stop the worker first. */
  readonly close: () => Promise<void>;
}

/** Migrates, connects, and is ready to work when it resolves. Throws STATE_UNAVAILABLE or STATE_TOO_NEW, and then nothing is left open. */
export async function openState(options: StateOptions): Promise<State> {
  const { url, log } = options;
  await migrate(url, log);
  const liveness = await openLiveness({ url, log, onLost: (reason) => options.onFenced?.(reason) });
  const pool = openPool({ ...connectionConfig(url, 'berth'), max: POOL_MAX }, log);
  const { intake, isReady, close: closeIntake } = intakeState(url, log);
  return {
    intake,
    store: previewStore({ pool, liveness, host: options.host ?? 'local', addresses: options.pool }),
    jobs: jobQueue(pool),
    worker: jobWorker({ pool, liveness, log }),
    countJobs: () => countJobs(pool),
    isReady: async () => liveness.isAlive() && (await isReady()),
    async close() {
      await liveness.close();
      await Promise.all([closeIntake(), pool.end()]);
    },
  };
}
