/**
 * One connection per process that stands for the process being alive. On it are held the locks that nobody but PostgreSQL can free
 * when we die: one per worker pool (who is gone, and whose jobs are free again?) and one per preview being worked on.
 *
 * When this connection breaks, others may already hold what we held. So from that moment every lock of it is lost, onLost is called,
 * and whatever still runs under one has to be aborted.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type QueryResultRow } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import type { Log } from '../../ports.ts';
import { connectionConfig, rowsOf, stateError } from './connections.ts';
import { takeOperatorLock } from './sole-operator.ts';

/** A heartbeat without an answer for so long: the connection hangs, and the server may have given it up. */
const HEARTBEAT_TIMEOUT_MS = 10_000;

/** Pauses between tries to connect again; PostgreSQL is on this machine or next to it, so a second is patient enough. */
const RECONNECT_MS = 500;

/** One life of the connection: what was locked in it is lost with it. */
export interface Life {
  /** Fires when the connection is gone, with a STATE_UNAVAILABLE as its reason. */
  readonly lost: AbortSignal;
  /** Marks a worker pool as alive until the connection ends. */
  holdWorkerPool(poolId: string): Promise<void>;
  /** Whatever the pool has not finished by then is free for others. */
  releaseWorkerPool(poolId: string): Promise<void>;
  /** False when anybody, ourselves included, holds the name. */
  tryLock(name: string): Promise<boolean>;
  unlock(name: string): Promise<void>;
  /** Worker pools that have jobs locked and no living process. */
  deadWorkerPools(): Promise<string[]>;
}

export interface Liveness {
  /** The life at hand; waits for PostgreSQL to come back when there is none. Rejects when closed or when the signal fires. */
  current(signal?: AbortSignal): Promise<Life>;
  isAlive(): boolean;
  close(): Promise<void>;
}

interface LivenessOptions {
  readonly url: string;
  readonly log: Log;
  /** The only operator's: with the lock that says so, for which another one is waited for so long at the first connection. */
  readonly lock: { readonly patienceMs: number } | null;
  /** Called each time that the connection was lost. */
  readonly onLost: (reason: OperatorError) => void;
}

/**
 * Throws STATE_UNAVAILABLE when PostgreSQL cannot be reached now, OPERATOR_ALREADY_RUNNING when another operator has the lock; later losses are healed by
 * connecting again.
 */
export async function openLiveness(options: LivenessOptions): Promise<Liveness> {
  const closing = new AbortController();
  let connection: Connection | null = null;
  let coming = Promise.withResolvers<Life>();

  const connect = async (patienceMs = 0): Promise<void> => {
    const opened = await openConnection(options, patienceMs);
    connection = opened;
    const { life } = opened;
    life.lost.addEventListener('abort', () => {
      if (closing.signal.aborted) return;
      const reason = life.lost.reason as OperatorError;
      connection = null;
      coming = Promise.withResolvers<Life>();
      options.log.error({ err: reason.cause }, 'lost the connection to PostgreSQL; what runs is given up');
      options.onLost(reason);
      void reconnect();
    });
    coming.resolve(life);
  };

  const reconnect = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await connect();
        options.log.info({}, 'connected to PostgreSQL again');
        return;
      } catch (error) {
        options.log.debug({ err: error }, 'PostgreSQL is still away, or another operator has our place');
        await delay(RECONNECT_MS, undefined, { signal: closing.signal }).catch(() => undefined);
      }
    }
  };

  await connect(options.lock?.patienceMs);
  return {
    current: async (signal) => connection?.life ?? (await abortable(coming.promise, closing.signal, signal)),
    isAlive: () => connection !== null,
    async close() {
      closing.abort(new OperatorError('SHUTTING_DOWN', 'The operator is stopping.'));
      const client = connection?.client;
      connection = null;
      await client?.end().catch(() => undefined);
    },
  };
}

interface Connection {
  readonly client: Client;
  readonly life: Life;
}

/**
 * A machine that goes without a word leaves its connection behind, with all locks; PostgreSQL's system would ask after two hours. Asked after 5 s and then
 * each 3 s, it is given up after 14. Ignored on a unix socket.
 */
const DEAD_PEER_SETTINGS = '-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3';

/** Resolves with a connection that has answered, and has the lock. */
async function openConnection({ url, lock, log }: LivenessOptions, patienceMs: number): Promise<Connection> {
  const config = connectionConfig(url, 'berth liveness');
  const options = `${config.options} ${DEAD_PEER_SETTINGS}`;
  const client = new Client({ ...config, options, query_timeout: HEARTBEAT_TIMEOUT_MS });
  const lost = new AbortController();
  const lose = (cause?: Error) =>
    lost.abort(
      new OperatorError('STATE_UNAVAILABLE', 'The connection to PostgreSQL that held our locks is lost.', { cause }),
    );
  client.on('error', lose);
  client.on('end', () => lose());
  const life = lifeOf(client, lost.signal);
  try {
    await client.connect();
    if (lock !== null) await takeOperatorLock(client, patienceMs, log);
    // A first answer proves more than a connection: the server may be starting up or shutting down.
    await life.deadWorkerPools();
    lost.signal.throwIfAborted();
  } catch (error) {
    await client.end().catch(() => undefined);
    throw stateError(error);
  }
  return { client, life };
}

async function abortable<Value>(promise: Promise<Value>, ...signals: (AbortSignal | undefined)[]): Promise<Value> {
  const any = AbortSignal.any(signals.filter((signal) => signal !== undefined));
  any.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(any.reason);
  any.addEventListener('abort', abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    any.removeEventListener('abort', abort);
  }
}

function lifeOf(client: Client, lost: AbortSignal): Life {
  // PostgreSQL lets the same session take the same lock again, so we have to refuse that ourselves.
  const held = new Set<string>();
  const lock = (name: string) => [`berth.preview:${name}`];
  // One statement at a time: the connection is shared by everything that runs.
  let last: Promise<unknown> = Promise.resolve();
  const query = async <Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> => {
    const result = last.then(() => rowsOf<Row>(client, text, values));
    last = result.catch(() => undefined);
    return result;
  };
  return {
    lost,
    async holdWorkerPool(poolId) {
      await query(`select pg_advisory_lock(hashtext('berth.worker_pool'), hashtext($1))`, [poolId]);
    },
    async releaseWorkerPool(poolId) {
      if (lost.aborted) return;
      await query(`select pg_advisory_unlock(hashtext('berth.worker_pool'), hashtext($1))`, [poolId]);
    },
    async tryLock(name) {
      if (held.has(name)) return false;
      held.add(name);
      const [row] = await query<{ locked: boolean }>(
        `select pg_try_advisory_lock(hashtextextended($1, 0)) as locked`,
        lock(name),
      ).catch((error: unknown) => {
        held.delete(name);
        throw error;
      });
      if (row?.locked !== true) held.delete(name);
      return row?.locked === true;
    },
    async unlock(name) {
      try {
        if (!lost.aborted) await query(`select pg_advisory_unlock(hashtextextended($1, 0))`, lock(name));
      } finally {
        held.delete(name);
      }
    },
    async deadWorkerPools() {
      const rows = await query<{ pool: string }>(
        `select distinct jobs.locked_by as pool from graphile_worker.jobs as jobs
         where jobs.locked_by is not null and not exists (
           select from pg_locks
           where locktype = 'advisory' and granted and objsubid = 2
             and database = (select oid from pg_database where datname = current_database())
             and classid::bigint = hashtext('berth.worker_pool')::bigint & 4294967295
             and objid::bigint = hashtext(jobs.locked_by)::bigint & 4294967295
         )`,
      );
      return rows.map((row) => row.pool);
    },
  };
}
