/** Everything that Berth keeps in PostgreSQL, behind its ports. */
import type { Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import type { AddressPool } from '../../core/slots.ts';
import type { JobQueue, JobWorker, Log, PreviewStore } from '../../ports.ts';
import { connectionConfig, openPool, rowsOf } from './connections.ts';
import { intakeState, type IntakeState } from './intake-state.ts';
import { countJobs, jobQueue } from './job-queue.ts';
import { jobWorker } from './job-worker.ts';
import { openLiveness } from './liveness.ts';
import { migrate } from './migrate.ts';
import { previewStore } from './preview-store.ts';
import { claimDatabase, OTHER_ENDS_WITHIN_MS, waitForDatabase } from './sole-operator.ts';
import { EXTRA_WORKERS_MAX } from './slow-jobs.ts';

/** Queries of the operator are short; ten connections keep two cores busy. The others listen for jobs. */
const POOL_MAX = 10 + 2 + EXTRA_WORKERS_MAX;

export interface StateOptions {
  readonly url: string;
  /** The range that slots are numbered in. */
  readonly pool: AddressPool;
  /** Given by the operator, which works alone with its database. */
  readonly sole?: SoleOptions;
  readonly log: Log;
  /** Our locks are lost: whatever was running has been aborted. Work begins again by itself when PostgreSQL is back. */
  readonly onFenced?: (reason: OperatorError) => void;
}

export interface SoleOptions {
  /** What this host calls itself; null when it has no state yet. */
  readonly hostId: string | null;
  /** How long another one that is connected may take to end. */
  readonly patienceMs?: number;
}

export interface State extends IntakeState {
  /** The host that the database belongs to: this one. Null where nobody asked for it. */
  readonly hostId: string | null;
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

/** Name of the one slot counter. */
const HOST = 'local';

/**
 * Migrates, connects, and is ready to work when it resolves. Throws STATE_UNAVAILABLE, STATE_TOO_NEW, OPERATOR_ALREADY_RUNNING, STATE_OF_ANOTHER_HOST or
 * CONFIG_INVALID, and then nothing is left open.
 */
export async function openState(options: StateOptions): Promise<State> {
  const { url, log, pool: addresses, sole } = options;
  await using stack = new AsyncDisposableStack();
  const lock = sole === undefined ? null : { patienceMs: sole.patienceMs ?? OTHER_ENDS_WITHIN_MS };
  // Also before the schema is changed under somebody.
  if (sole !== undefined && lock !== null) await waitForDatabase(url, { ...lock, hostId: sole.hostId }, log);
  await migrate(url, log);
  const pool = stack.adopt(openPool({ ...connectionConfig(url, 'berth'), max: POOL_MAX }, log), (each) => each.end());
  const liveness = stack.adopt(
    await openLiveness({ url, log, lock, onLost: (reason) => options.onFenced?.(reason) }),
    (each) => each.close(),
  );
  const hostId = sole === undefined ? null : await claimDatabase(pool, sole.hostId);
  const store = previewStore({ pool, liveness, host: HOST, addresses });
  await refuseSmallerPool(pool, addresses);
  const { intake, isReady, close: closeIntake } = intakeState(url, log);
  stack.defer(closeIntake);
  const opened = stack.move();
  return {
    hostId,
    intake,
    store,
    jobs: jobQueue(pool),
    worker: jobWorker({ pool, liveness, log }),
    countJobs: () => countJobs(pool),
    isReady: async () => liveness.isAlive() && (await isReady()),
    close: () => opened.disposeAsync(),
  };
}

/** Slots in use have addresses: a range that was made smaller under them would take those away. */
async function refuseSmallerPool(pool: Pool, { cidr, slotMax }: AddressPool): Promise<void> {
  const [row] = await rowsOf<{ last: number | null }>(
    pool,
    'select max(slot) as last from berth.slots where host = $1',
    [HOST],
  );
  const last = row?.last ?? 0;
  if (last <= slotMax) return;
  throw new OperatorError('CONFIG_INVALID', `runtime.pool: ${cidr} has ${slotMax} slots, and slot ${last} is in use.`, {
    hint: 'Give it back the range that it had, or a larger one, until that preview is gone.',
  });
}
