/**
 * AppDatabases: a role and a database of the same name per preview (tenants.ts), on the server that holds our own state or on one beside it; and the
 * templates that seeded ones are copied from (seed-templates.ts).
 */
import { escapeIdentifier, type Pool } from 'pg';
import type { DatabaseSeed } from '../../core/database-seed.ts';
import { OperatorError } from '../../core/errors.ts';
import { APP_DATABASE_CONNECTIONS_MAX, SEED_TIMEOUT_MS } from '../../core/limits.ts';
import { parseDatabaseName, parseTemplateName, type DatabaseName } from '../../core/names.ts';
import type { PreviewDatabase } from '../../core/preview.ts';
import type { AppDatabases, Log } from '../../ports.ts';
import { connectionConfig, openPool, rowsOf } from './connections.ts';
import { WEB_ROLE } from './intake-state.ts';
import { copyTemplate, ensureTemplate, SEEDS_ROLE, type Seeding } from './seed-templates.ts';
import {
  createDatabase,
  dropGoneRoles,
  ensureGroup,
  ensureTenant,
  markFinished,
  PRISTINE,
  removeTenant,
  unfinished,
  type Tenant,
} from './tenants.ts';

/** Every preview's role is a member. pg_hba.conf lets members in to the database of their own name only. */
const TENANTS_ROLE = 'berth_tenants';

/** Making databases is bound by the disk; two at a time keep it busy. */
const POOL_MAX = 2;

/** For one of them, which includes the wait for those who are before: twenty previews that are opened at once take seconds. */
const TURN_TIMEOUT_MS = 60_000;

export interface AppDatabasesOptions {
  /** As a superuser, or a role with CREATEDB, CREATEROLE and ADMIN on berth_tenants and berth_seeds. */
  readonly url: string;
  /** Where apps reach the server; null stands for the host's side of the instance's slot. */
  readonly appHost: string | null;
  readonly appPort: number;
  /** SEED_TIMEOUT_MS where it is not said. */
  readonly seedTimeoutMs?: number;
  readonly log: Log;
}

/** Throws DATABASE_FAILED or STATE_UNAVAILABLE when the server cannot be made ready for tenants; then nothing is left open. */
export async function openAppDatabases(
  options: AppDatabasesOptions,
): Promise<AppDatabases & { close(): Promise<void> }> {
  const pool = openPool(
    {
      ...connectionConfig(options.url, 'berth app databases'),
      max: POOL_MAX,
      connectionTimeoutMillis: TURN_TIMEOUT_MS,
    },
    options.log,
  );
  try {
    const mark = await prepareServer(pool, options.log);
    const timeoutMs = options.seedTimeoutMs ?? SEED_TIMEOUT_MS;
    const server = { pool, url: options.url, mark, timeoutMs, log: options.log };
    // Whoever removed what spoke of them may have been killed before it looked.
    await dropGoneRoles(server);
    return { ...appDatabases(server, options), close: () => pool.end() };
  } catch (error) {
    await pool.end();
    throw databaseError('The database server could not be made ready for previews.', error);
  }
}

function appDatabases(server: Seeding, options: AppDatabasesOptions): AppDatabases {
  const { pool, mark } = server;
  return {
    async list() {
      return (await ourRoles(server)).map(parseDatabaseName).filter((name) => name !== null);
    },
    async ensure(database, seed) {
      try {
        await ensure(server, database, seed);
      } catch (error) {
        seed?.signal.throwIfAborted();
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
        await removeTenant(server, name);
      } catch (error) {
        throw databaseError(`The database ${name} could not be removed.`, error);
      }
    },
    async listTemplates() {
      return (await ourRoles(server)).map(parseTemplateName).filter((name) => name !== null);
    },
    async removeTemplate(name) {
      try {
        await removeTenant(server, name);
      } catch (error) {
        throw databaseError(`The template ${name} could not be removed.`, error);
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
      return `postgresql://${database.name}:${database.password}@${host}:${options.appPort}/${database.name}`;
    },
  };
}

function databaseError(message: string, error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  return new OperatorError('DATABASE_FAILED', message, { cause: error });
}

/** The groups exist, nobody but the web may connect to our database without being named, and whoever else is open is told of. Returns our mark. */
async function prepareServer(pool: Pool, log: Log): Promise<string> {
  for (const group of [TENANTS_ROLE, SEEDS_ROLE]) await ensureGroup(pool, group);
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

/** Names of the roles that carry our mark. */
async function ourRoles({ pool, mark }: Seeding): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(
    pool,
    `select rolname as name from pg_roles where shobj_description(oid, 'pg_authid') = any ($1) order by rolname`,
    [[mark, unfinished(mark)]],
  );
  return rows.map((row) => row.name);
}

async function ensure(server: Seeding, database: PreviewDatabase, seed: DatabaseSeed | undefined): Promise<void> {
  const { pool, mark } = server;
  const { name, password } = database;
  const tenant: Tenant = { name, password, group: TENANTS_ROLE, connectionsMax: APP_DATABASE_CONNECTIONS_MAX };
  const isFinished = await ensureTenant(server, tenant);
  if (isFinished) {
    await rowsOf(pool, `alter database ${escapeIdentifier(name)} allow_connections true`);
  } else if (seed === undefined) {
    await createDatabase(pool, tenant, PRISTINE);
    await markFinished(pool, mark, name);
  } else {
    await ensureTemplate(server, seed);
    await copyTemplate(server, tenant, seed);
  }
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
