/** Everything that Berth keeps in PostgreSQL, behind its ports. */
import type { OperatorError } from '../../core/errors.ts';
import type { AddressPool } from '../../core/slots.ts';
import type { Intake, JobQueue, JobWorker, Log, PreviewStore } from '../../ports.ts';
import { connectionConfig, openPool, rowsOf } from './connections.ts';
import { INTAKE_TIMEOUT_MS, openIntake } from './intake.ts';
import { jobQueue } from './job-queue.ts';
import { jobWorker } from './job-worker.ts';
import { openLiveness } from './liveness.ts';
import { migrate } from './migrate.ts';
import { previewStore } from './preview-store.ts';

/** Queries of the operator are short; ten connections keep two cores busy. Two more listen for jobs. */
const POOL_MAX = 12;

/** A /ready that hangs is worse than one that says no. */
const READY_TIMEOUT_MS = 2_000;

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

export interface State {
  readonly intake: Intake;
  readonly store: PreviewStore;
  readonly jobs: JobQueue;
  readonly worker: JobWorker;
  /** Whether PostgreSQL answers and our locks are held. Never throws. */
  isReady(): Promise<boolean>;
  /** Closes every connection. Stop the worker first. */
  close(): Promise<void>;
}

/** Migrates, connects, and is ready to work when it resolves. Throws STATE_UNAVAILABLE or STATE_TOO_NEW, and then nothing is left open. */
export async function openState(options: StateOptions): Promise<State> {
  const { url, log } = options;
  await migrate(url, log);
  const liveness = await openLiveness({ url, log, onLost: (reason) => options.onFenced?.(reason) });
  const pool = openPool({ ...connectionConfig(url, 'berth'), max: POOL_MAX }, log);
  const intakePool = openPool(
    { ...connectionConfig(url, 'berth intake'), max: 1, query_timeout: INTAKE_TIMEOUT_MS },
    log,
  );
  return {
    intake: openIntake(intakePool, log),
    store: previewStore({ pool, liveness, host: options.host ?? 'local', addresses: options.pool }),
    jobs: jobQueue(pool),
    worker: jobWorker({ pool, liveness, log }),
    async isReady() {
      if (!liveness.isAlive()) return false;
      const answer = rowsOf(pool, 'select 1').then(
        () => true,
        () => false,
      );
      return Promise.race([answer, timeout(READY_TIMEOUT_MS)]);
    },
    async close() {
      await liveness.close();
      await Promise.all([intakePool.end(), pool.end()]);
    },
  };
}

async function timeout(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms).unref());
}
