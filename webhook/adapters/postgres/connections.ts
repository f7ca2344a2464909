/** Connections to PostgreSQL, and what a failure of one means to the rest of the service. */
import { createHash } from 'node:crypto';
import {
  Pool,
  types,
  type ClientBase,
  type ClientConfig,
  type PoolClient,
  type PoolConfig,
  type QueryResultRow,
} from 'pg';
import { OperatorError } from '../../core/errors.ts';
import type { Log } from '../../ports.ts';

/** A server that does not answer by then is away: its sockets on one machine connect in under a millisecond. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Far above any statement of ours (the slowest, a migration, takes tens of milliseconds): what runs longer is stuck. */
const STATEMENT_TIMEOUT_MS = 30_000;

const INT8_OID = 20;

/** bigint as a number: our identities and GitHub's ids stay below 2^53; text would compare wrongly without an error. */
const typeParsers: ClientConfig['types'] = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8_OID && format !== 'binary' ? Number : types.getTypeParser(oid, format)) as typeof types.getTypeParser,
};

/**
 * Commits are durable even where the server's default is not (promise R1). Every statement finds its rows by key, so its plan is made
 * once: planned anew at each call, as PostgreSQL chooses by itself, the jobs of one delivery took 0.9 ms instead of 0.2.
 */
const SESSION_SETTINGS = '-c synchronous_commit=on -c plan_cache_mode=force_generic_plan';

/** What every connection of ours has in common. */
export function connectionConfig(url: string, applicationName: string): ClientConfig {
  return {
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
    options: SESSION_SETTINGS,
    types: typeParsers,
  };
}

type ConnectCallback = (
  error: Error | undefined,
  client: PoolClient | undefined,
  release: (broken?: Error | boolean) => void,
) => void;

/**
 * A pool that takes a connection back once, however often it is given. When PostgreSQL goes away while graphile-worker 0.18 is being
 * stopped, it gives its listening connection back twice (lib/main, `release` of listenForChanges), in a promise that nobody looks at: with
 * pg's own pool that ends the process. It asks for that connection with a callback.
 */
class LenientPool extends Pool {
  override connect(): Promise<PoolClient>;
  override connect(callback: ConnectCallback): void;
  override connect(callback?: ConnectCallback): Promise<PoolClient> | undefined {
    if (callback === undefined) return super.connect();
    super.connect((error, client, release) => {
      let isReleased = false;
      callback(error, client, (broken) => {
        if (isReleased) return;
        isReleased = true;
        release(broken);
      });
    });
    return undefined;
  }
}

/** A pool whose idle connections may break without bringing the process down. */
export function openPool(config: PoolConfig, log: Log): Pool {
  const pool = new LenientPool({ idleTimeoutMillis: 0, ...config });
  const warn = (error: Error) =>
    log.warn({ err: error, connection: config.application_name }, 'a connection to PostgreSQL broke');
  pool.on('error', warn);
  // The pool listens to idle connections only; one that breaks while it is in use would end the process.
  pool.on('connect', (client) => client.on('error', warn));
  return pool;
}

/** SQLSTATE classes and codes (PostgreSQL manual, appendix A) that mean: the server is away or stopping, not that the statement is wrong. */
function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') {
    if (/^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E'))
      return code.startsWith('08') || code.startsWith('53') || code.startsWith('57P') || code === '25006';
    // Node's own: ECONNREFUSED, ENOENT of a socket file, EPIPE and the like.
    return code.startsWith('E');
  }
  return /connection terminated|timeout|client has encountered a connection error|not queryable|pool after calling end/i.test(
    error.message,
  );
}

/**
 * SQLSTATE 28: invalid authorization; 3D000: no such database. It answers, and lets us in no more than one that is away. Fatal where it is about our connection: a
 * statement can name a database that is not there, too.
 */
function isRefused(error: unknown): error is Error {
  if (!(error instanceof Error) || !('code' in error) || !('severity' in error)) return false;
  return error.severity === 'FATAL' && /^(?:28...|3D000)$/.test(String(error.code));
}

/** Whatever a statement or a connection threw: STATE_UNAVAILABLE when PostgreSQL is away or does not let us in, else the error itself. */
export function stateError(error: unknown): unknown {
  if (isRefused(error))
    return new OperatorError('STATE_UNAVAILABLE', `PostgreSQL does not let us in: ${error.message}.`, {
      cause: error,
      hint: 'Check role, password and database of DATABASE_URL (`state.database_url`), and pg_hba.conf of the server.',
    });
  if (!isUnavailable(error)) return error;
  return new OperatorError('STATE_UNAVAILABLE', 'PostgreSQL does not answer.', { cause: error });
}

/**
 * The rows of one statement. One with values is parsed and planned once on each connection (so its text must not be made of values): that is a third
 * of what a short one takes. Throws STATE_UNAVAILABLE when PostgreSQL is away.
 */
export async function rowsOf<Row extends QueryResultRow>(
  connection: Pool | ClientBase,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const prepared = values.length === 0 ? {} : { name: preparedName(text) };
  try {
    return (await connection.query<Row>({ ...prepared, text, values })).rows;
  } catch (error) {
    throw stateError(error);
  }
}

const preparedNames = new Map<string, string>();

/** Of the same text always the same; below the 63 characters that PostgreSQL keeps of a name. */
function preparedName(text: string): string {
  const known = preparedNames.get(text);
  if (known !== undefined) return known;
  const name = `berth_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
  preparedNames.set(text, name);
  return name;
}

/** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. Throws STATE_UNAVAILABLE. */
export async function inTransaction<Result>(
  pool: Pool,
  work: (client: ClientBase) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect().catch((error: unknown) => {
    throw stateError(error);
  });
  let broken: Error | undefined;
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    // A connection that cannot roll back is not given back to the pool: the server rolls back when it closes.
    await client.query('rollback').catch((failure: Error) => {
      broken = failure;
    });
    throw stateError(error);
  } finally {
    client.release(broken);
  }
}
