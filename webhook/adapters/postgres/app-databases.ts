/**
 * AppDatabases: a role and a database of the same name per preview, on the server that holds our own state or on one beside it.
 *
 * Whose they are is written on the role, as a comment with the name of our own database, before the database is made: a server may
 * hold other people's databases that happen to be called preview_something, and other operators' too. What does not carry our mark is
 * never listed, changed or removed.
 */
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { escapeIdentifier, escapeLiteral, type Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import { APP_DATABASE_CONNECTIONS_MAX } from '../../core/limits.ts';
import { parseDatabaseName, type DatabaseName } from '../../core/names.ts';
import type { PreviewDatabase } from '../../core/preview.ts';
import type { AppDatabases, Log } from '../../ports.ts';
import { connectionConfig, inTransaction, openPool, rowsOf } from './connections.ts';
import { WEB_ROLE } from './intake-state.ts';

/** Every preview's role is a member. pg_hba.conf lets members in to the database of their own name only. */
const TENANTS_ROLE = 'berth_tenants';

/** Making databases is bound by the disk; two at a time keep it busy. */
const POOL_MAX = 2;

export interface AppDatabasesOptions {
  /** As a superuser, or a role with CREATEDB, CREATEROLE and ADMIN on berth_tenants. */
  readonly url: string;
  /** Where apps reach the server; null stands for the host's side of the instance's slot. */
  readonly appHost: string | null;
  readonly appPort: number;
  readonly log: Log;
}

/** Throws DATABASE_FAILED or STATE_UNAVAILABLE when the server cannot be made ready for tenants; then nothing is left open. */
export async function openAppDatabases(
  options: AppDatabasesOptions,
): Promise<AppDatabases & { close(): Promise<void> }> {
  const pool = openPool({ ...connectionConfig(options.url, 'berth app databases'), max: POOL_MAX }, options.log);
  try {
    const mark = await prepareServer(pool, options.log);
    return { ...appDatabases(pool, mark, options), close: () => pool.end() };
  } catch (error) {
    await pool.end();
    throw databaseError('The database server could not be made ready for previews.', error);
  }
}

function appDatabases(pool: Pool, mark: string, options: AppDatabasesOptions): AppDatabases {
  return {
    async list() {
      const rows = await rowsOf<{ name: string }>(
        pool,
        `select rolname as name from pg_roles where shobj_description(oid, 'pg_authid') = $1 order by rolname`,
        [mark],
      );
      return rows.map((row) => parseDatabaseName(row.name)).filter((name) => name !== null);
    },
    async ensure(database) {
      try {
        await ensureRole(pool, mark, database);
        await ensureDatabase(pool, database.name);
      } catch (error) {
        throw databaseError(`The database ${database.name} could not be made ready.`, error);
      }
    },
    async limitSize(name, maxBytes) {
      try {
        return await limitSize(pool, mark, { name, maxBytes });
      } catch (error) {
        throw databaseError(`The size of the database ${name} could not be limited.`, error);
      }
    },
    async remove(name) {
      try {
        await remove(pool, mark, name);
      } catch (error) {
        throw databaseError(`The database ${name} could not be removed.`, error);
      }
    },
    async has(name) {
      const rows = await rowsOf(
        pool,
        `select from pg_roles join pg_database on datname = rolname and datallowconn
         where rolname = $1 and shobj_description(pg_roles.oid, 'pg_authid') = $2 and rolconnlimit <> 0`,
        [name, mark],
      );
      return rows.length > 0;
    },
    urlOf(database, addresses) {
      const host = options.appHost ?? addresses.host;
      return `postgres://${database.name}:${database.password}@${host}:${options.appPort}/${database.name}`;
    },
  };
}

function databaseError(message: string, error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  return new OperatorError('DATABASE_FAILED', message, { cause: error });
}

/** The group of tenants exists, nobody but the web may connect to our database without being named, and whoever else is open is told of. Returns our mark. */
async function prepareServer(pool: Pool, log: Log): Promise<string> {
  await ensureTenantsRole(pool);
  const [row] = await rowsOf<{ name: string }>(pool, 'select current_database() as name');
  const own = row?.name ?? '';
  const rights = [
    ...[own, 'postgres', 'template1'].map(
      (name) => `revoke connect, temporary on database ${escapeIdentifier(name)} from public`,
    ),
    `grant connect on database ${escapeIdentifier(own)} to ${WEB_ROLE}`,
  ];
  for (const statement of rights) {
    await rowsOf(pool, statement).catch(
      // Not ours to change, or not there: what matters is whether tenants get in, which is asked next.
      (error: unknown) => log.debug({ err: error, statement }, 'the rights on a database were left as they are'),
    );
  }
  const open = await rowsOf<{ name: string }>(
    pool,
    `select datname as name from pg_database
     where datallowconn and has_database_privilege($1, oid, 'connect') order by datname`,
    [TENANTS_ROLE],
  );
  if (open.length > 0)
    log.warn(
      { databases: open.map((each) => each.name) },
      'previews may connect to these databases unless pg_hba.conf says otherwise; REVOKE CONNECT ON DATABASE … FROM PUBLIC closes them',
    );
  return `Berth: preview of the operator whose state is in the database ${own}`;
}

async function ensureTenantsRole(pool: Pool): Promise<void> {
  const rows = await rowsOf(pool, 'select from pg_roles where rolname = $1', [TENANTS_ROLE]);
  if (rows.length > 0) return;
  await rowsOf(pool, `create role ${TENANTS_ROLE} nologin`).catch((error: { code?: string }) => {
    // Another operator was faster: duplicate_object, or unique_violation when it had not committed yet.
    if (error.code !== '42710' && error.code !== '23505') throw error;
  });
}

/** The role with its mark, its password and no right beyond its own database; one transaction, so never without the mark. */
async function ensureRole(pool: Pool, mark: string, { name, password }: PreviewDatabase): Promise<void> {
  const role = escapeIdentifier(name);
  const verifier = escapeLiteral(await scramVerifier(password));
  await inTransaction(pool, async (client) => {
    const [found] = await rowsOf<{ mark: string | null }>(
      client,
      `select shobj_description(oid, 'pg_authid') as mark from pg_roles where rolname = $1`,
      [name],
    );
    if (found === undefined) {
      await refuseForeignDatabase(client, name);
      await client.query(
        `create role ${role} login nosuperuser nocreatedb nocreaterole noreplication
         connection limit ${APP_DATABASE_CONNECTIONS_MAX} password ${verifier}`,
      );
      await client.query(`comment on role ${role} is ${escapeLiteral(mark)}`);
      await client.query(`grant ${TENANTS_ROLE} to ${role}`);
      // Who makes a role is not thereby its member (15), or may not act for it (16 on), and could not give it a database.
      await client.query(`grant ${role} to current_user`);
    } else if (found.mark === mark) {
      // Not the connection limit: a database that was closed for its size stays closed until limitSize finds that it fits.
      await client.query(`alter role ${role} login password ${verifier}`);
    } else {
      throw new OperatorError('DATABASE_FAILED', `The server already has a role ${name} that is not ours.`);
    }
    if (await mustJoinRoles(client)) await client.query(`grant ${role} to current_user`);
  });
}

/** Up to PostgreSQL 15 nothing makes an operator that is no superuser a member of the roles it makes, and it needs to be to give them databases. */
async function mustJoinRoles(client: Pick<Pool, 'query'>): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_roles
     where rolname = current_user and not rolsuper and current_setting('server_version_num')::int < 160000`,
  );
  return rowCount === 1;
}

async function refuseForeignDatabase(client: Pick<Pool, 'query'>, name: DatabaseName): Promise<void> {
  const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
  if (rowCount !== 0)
    throw new OperatorError('DATABASE_FAILED', `The server already has a database ${name} that is not ours.`);
}

/**
 * Made closed, from the pristine template0, and opened when only its owner may connect. WAL_LOG costs 31 ms for an empty database, and
 * unlike FILE_COPY forces no checkpoint, which would hold up everybody's commits.
 */
async function ensureDatabase(pool: Pool, name: DatabaseName): Promise<void> {
  const database = escapeIdentifier(name);
  const [found] = await rowsOf<{ open: boolean }>(
    pool,
    'select datallowconn as open from pg_database where datname = $1',
    [name],
  );
  if (found?.open === true) return;
  if (found === undefined)
    await rowsOf(
      pool,
      `create database ${database} owner ${database} template template0 strategy wal_log allow_connections false
       connection limit ${APP_DATABASE_CONNECTIONS_MAX}`,
    );
  await rowsOf(pool, `revoke all on database ${database} from public`);
  await rowsOf(pool, `alter database ${database} allow_connections true`);
}

/**
 * The limit that closes is the role's, which only we can lift. A limit of the database, or a session that may only read by default, the tenant
 * lifts itself: it owns the one and may set the other.
 */
async function limitSize(
  pool: Pool,
  mark: string,
  { name, maxBytes }: { name: DatabaseName; maxBytes: number },
): Promise<number | null> {
  const [found] = await rowsOf<{ bytes: number; connections: number }>(
    pool,
    `select pg_database_size(pg_database.oid) as bytes, rolconnlimit as connections
     from pg_roles join pg_database on datname = rolname
     where rolname = $1 and shobj_description(pg_roles.oid, 'pg_authid') = $2`,
    [name, mark],
  );
  if (found === undefined) return null;
  const isTooLarge = found.bytes > maxBytes;
  const connections = isTooLarge ? 0 : APP_DATABASE_CONNECTIONS_MAX;
  if (found.connections !== connections)
    await rowsOf(pool, `alter role ${escapeIdentifier(name)} connection limit ${connections}`);
  // Each time, and not only when it is closed: somebody may have been about to connect just then.
  if (isTooLarge)
    await rowsOf(pool, 'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [name]);
  return found.bytes;
}

/** Database first: the role carries the mark by which an unfinished removal is found again. */
async function remove(pool: Pool, mark: string, name: DatabaseName): Promise<void> {
  const [found] = await rowsOf<{ mark: string | null }>(
    pool,
    `select shobj_description(oid, 'pg_authid') as mark from pg_roles where rolname = $1`,
    [name],
  );
  if (found === undefined || found.mark !== mark) return;
  // Nobody new gets in between the end of those who are connected and the end of the database.
  await rowsOf(pool, `alter role ${escapeIdentifier(name)} nologin`);
  await rowsOf(pool, `drop database if exists ${escapeIdentifier(name)} with (force)`);
  await rowsOf(pool, `drop role if exists ${escapeIdentifier(name)}`);
}

const SCRAM_ITERATIONS = 4_096;

/**
 * The password as the server stores it (RFC 5803), so that the password itself is in no statement that a server may log.
 * Ours are letters and digits, which SASLprep leaves as they are.
 */
async function scramVerifier(password: string): Promise<string> {
  const salt = randomBytes(16);
  const salted = await promisify(pbkdf2)(password, salt, SCRAM_ITERATIONS, 32, 'sha256');
  const key = (name: string) => createHmac('sha256', salted).update(name).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${salt.toString('base64')}$${stored}:${key('Server Key').toString('base64')}`;
}
