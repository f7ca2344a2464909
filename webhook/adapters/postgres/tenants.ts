/**
 * Tenants: roles with a database of the same name, of which nobody else can make use. Previews have one each, and so has every seed.
 *
 * Whose they are is written on the role, as a comment with the name of our own database, before the database is made: a server may
 * hold other people's databases that happen to be called preview_something, and other operators' too. What does not carry our mark is
 * never listed, changed or removed. The comment also says when the database is not finished: what there is of it is then made anew.
 */
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { Client, escapeIdentifier, escapeLiteral, type ClientBase, type ClientConfig, type Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import type { DatabaseName, TemplateName } from '../../core/names.ts';
import { connectionConfig, inTransaction, rowsOf, stateError } from './connections.ts';

/** The server, as those see it who make tenants on it. */
export interface TenantServer {
  readonly pool: Pool;
  readonly url: string;
  readonly mark: string;
}

export interface Tenant {
  readonly name: DatabaseName | TemplateName;
  readonly password: string;
  /** The role that its role is a member of; pg_hba.conf goes by it. */
  readonly group: string;
  readonly connectionsMax: number;
}

/** What the comment says of a tenant whose database is not finished. */
export function unfinished(mark: string): string {
  return `${mark}, unfinished`;
}

/** A group of tenants' roles exists, of which we may make others members. */
export async function ensureGroup(pool: Pool, group: string): Promise<void> {
  const rows = await rowsOf(pool, 'select from pg_roles where rolname = $1', [group]);
  if (rows.length > 0) return;
  await rowsOf(pool, `create role ${escapeIdentifier(group)} nologin`).catch((error: { code?: string }) => {
    // Another operator was faster: duplicate_object, or unique_violation when it had not committed yet.
    if (error.code !== '42710' && error.code !== '23505') throw error;
  });
}

/**
 * The role with its mark, its password and no right beyond its own database; one transaction, so never without the mark. Resolves to whether its
 * database was finished before; otherwise there is none, and the mark says so. Throws DATABASE_FAILED for what is somebody else's.
 */
export async function ensureTenant(server: TenantServer, tenant: Tenant): Promise<boolean> {
  const { pool, mark } = server;
  const { name } = tenant;
  const role = escapeIdentifier(name);
  const verifier = escapeLiteral(await scramVerifier(tenant.password));
  const was = await inTransaction(pool, async (client): Promise<'new' | 'unfinished' | 'finished'> => {
    const found = await marksOf(client, name);
    if (found === null) {
      await refuseForeignDatabase(client, name);
      // Who makes a role is not thereby its member (15), or may not act for it (16 on), and could not give it a database.
      await client.query(
        `create role ${role} login nosuperuser nocreatedb nocreaterole noreplication
           connection limit ${tenant.connectionsMax} password ${verifier};
         grant ${escapeIdentifier(tenant.group)} to ${role};
         grant ${role} to current_user`,
      );
    } else if (found.role === mark || found.role === unfinished(mark)) {
      // Not the connection limit: a database that was closed for its size stays closed until limitSize finds that it fits.
      await client.query(`alter role ${role} login password ${verifier}`);
    } else {
      throw new OperatorError('DATABASE_FAILED', `The server already has a role ${name} that is not ours.`);
    }
    if (await mustJoinRoles(client)) await client.query(`grant ${role} to current_user`);
    if (found?.role === mark && found.hasDatabase) return 'finished';
    await client.query(`comment on role ${role} is ${escapeLiteral(unfinished(mark))}`);
    return found === null ? 'new' : 'unfinished';
  });
  if (was === 'unfinished') await dropDatabase(server, name);
  return was === 'finished';
}

async function marksOf(
  client: ClientBase,
  name: string,
): Promise<{ role: string | null; hasDatabase: boolean } | null> {
  const [found] = await rowsOf<{ role: string | null; hasDatabase: boolean }>(
    client,
    `select shobj_description(oid, 'pg_authid') as role,
       exists (select from pg_database where datname = rolname) as "hasDatabase"
     from pg_roles where rolname = $1`,
    [name],
  );
  return found ?? null;
}

/** Up to PostgreSQL 15 nothing makes an operator that is no superuser a member of the roles it makes, and it needs to be to give them databases. */
async function mustJoinRoles(client: ClientBase): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_roles
     where rolname = current_user and not rolsuper and current_setting('server_version_num')::int < 160000`,
  );
  return rowCount === 1;
}

async function refuseForeignDatabase(client: ClientBase, name: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
  if (rowCount !== 0)
    throw new OperatorError('DATABASE_FAILED', `The server already has a database ${name} that is not ours.`);
}

/** What a new database is a copy of. */
interface Original {
  readonly name: string;
  /** `file_copy` forces a checkpoint, which holds up everybody's commits; `wal_log` writes all of it twice (performance.md section 4). */
  readonly strategy: 'wal_log' | 'file_copy';
}

/** From the pristine one; empty, it costs 31 ms through the log. */
export const PRISTINE: Original = { name: 'template0', strategy: 'wal_log' };

/** Made closed, and opened when only its owner may connect. It counts once it is marked as finished. */
export async function createDatabase(
  pool: Pool,
  tenant: Pick<Tenant, 'name' | 'connectionsMax'>,
  original: Original,
): Promise<void> {
  const database = escapeIdentifier(tenant.name);
  await rowsOf(
    pool,
    `create database ${database} owner ${database} template ${escapeIdentifier(original.name)} strategy ${original.strategy}
     allow_connections false connection limit ${tenant.connectionsMax}`,
  );
  await rowsOf(
    pool,
    `revoke all on database ${database} from public; alter database ${database} allow_connections true`,
  );
}

export async function markFinished(connection: Pool | ClientBase, mark: string, name: string): Promise<void> {
  await rowsOf(connection, `comment on role ${escapeIdentifier(name)} is ${escapeLiteral(mark)}`);
}

/**
 * Database first: the role carries the mark by which an unfinished removal is found again. Other tenants cannot keep it from going: whoever holds its
 * database is cut off, and a role that they speak of leaves its name, as `berth_gone_<number>`, and goes when they do.
 */
export async function removeTenant(server: TenantServer, name: string): Promise<void> {
  const { pool, mark } = server;
  const [found] = await rowsOf<{ oid: number }>(
    pool,
    `select oid from pg_roles where rolname = $1 and shobj_description(oid, 'pg_authid') = any ($2)`,
    [name, [mark, unfinished(mark)]],
  );
  if (found === undefined) return;
  const role = escapeIdentifier(name);
  // Nobody new gets in between the end of those who are connected and the end of the database.
  await rowsOf(pool, `alter role ${role} nologin`);
  await dropDatabase(server, name);
  await dropRole(pool, name).catch(async (error: { code?: string }) => {
    if (error.code !== STILL_SPOKEN_OF && error.code !== LOCKED) throw error;
    // A right that another tenant gave it, in its own database, could only be taken back there, where that one is at home. The role can do nothing
    // any more, and whoever has this name next is somebody else.
    await rowsOf(pool, `alter role ${role} rename to ${escapeIdentifier(GONE + found.oid)}`);
  });
  await dropGoneRoles(server);
}

const GONE = 'berth_gone_';

/** SQLSTATE of PostgreSQL's manual, appendix A. */
const STILL_SPOKEN_OF = '2BP01';
const LOCKED = '55P03';

/** Whoever is about to speak of a role has it locked until the end of its transaction, which may never come. */
const ROLE_LOCK_TIMEOUT_MS = 10;

async function dropRole(pool: Pool, name: string): Promise<void> {
  await rowsOf(pool, `set local lock_timeout = ${ROLE_LOCK_TIMEOUT_MS}; drop role if exists ${escapeIdentifier(name)}`);
}

/** So many are tried in one go: a tenant may keep any number of them locked. */
const GONE_ROLES_AT_ONCE = 20;

/** Drops the roles of removed tenants that nobody speaks of any more: in no order, so that those that cannot go do not keep the others from their turn. */
export async function dropGoneRoles({ pool, mark }: TenantServer): Promise<void> {
  // Since PostgreSQL 16 memberships are among what speaks of a role. They go with it.
  const gone = await rowsOf<{ name: string }>(
    pool,
    `select rolname as name from pg_roles
     where starts_with(rolname, $1) and shobj_description(oid, 'pg_authid') = any ($2)
       and not exists (
         select from pg_shdepend
         where refclassid = 'pg_authid'::regclass and refobjid = pg_roles.oid and classid <> 'pg_auth_members'::regclass
       )
     order by random() limit $3`,
    [GONE, [mark, unfinished(mark)], GONE_ROLES_AT_ONCE],
  );
  // Somebody speaks of it again, or another operator was faster: the next removal looks again.
  for (const { name } of gone) await dropRole(pool, name).catch(() => undefined);
}

/** Of waiting for others, before they are cut off: who means no harm has a database locked for less. */
const LOCK_PATIENCE_MS = 1_000;

async function dropDatabase(server: TenantServer, name: string): Promise<void> {
  const { pool } = server;
  const [found] = await rowsOf<{ isTemplate: boolean }>(
    pool,
    'select datistemplate as "isTemplate" from pg_database where datname = $1',
    [name],
  );
  if (found === undefined) return;
  // Its owner may have said so, and then it could not be dropped.
  if (found.isTemplate) await rowsOf(pool, `alter database ${escapeIdentifier(name)} is_template false`);
  const client = await pool.connect().catch((error: unknown) => {
    throw stateError(error);
  });
  let cutting = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  try {
    const [row] = await rowsOf<{ pid: number }>(client, 'select pg_backend_pid() as pid');
    timer = setTimeout(() => {
      cutting = cutOffBlockers(server, row?.pid ?? 0);
    }, LOCK_PATIENCE_MS);
    await rowsOf(client, `drop database if exists ${escapeIdentifier(name)} with (force)`);
  } finally {
    clearTimeout(timer);
    await cutting;
    client.release();
  }
}

/**
 * Ends the sessions of tenants that a session of ours waits for. `force` ends those in the database only, and a transaction elsewhere can have it locked
 * too: `alter role … in database …` is enough. Who comes later waits for us.
 */
async function cutOffBlockers({ url, mark }: TenantServer, pid: number): Promise<void> {
  const blockers = `
    select pg_terminate_backend(pid) from pg_stat_activity
    where pid = any (pg_blocking_pids($1)) and shobj_description(usesysid, 'pg_authid') = any ($2)`;
  await withClient(clientFor(url, { applicationName: 'berth locks' }), (client) =>
    rowsOf(client, blockers, [pid, [mark, unfinished(mark)]]),
  ).catch(() => undefined);
}

interface Login {
  readonly applicationName: string;
  /** Our own where it is not said. */
  readonly database?: string;
  /** Likewise. */
  readonly as?: { readonly user: string; readonly password: string };
}

/** A connection of its own, to any database of the server. */
export function clientFor(url: string, login: Login, more: ClientConfig = {}): Client {
  const { connectionString: _, ...common } = connectionConfig(url, login.applicationName);
  const own = new Client({ connectionString: url });
  const client = new Client({
    ...common,
    host: own.host,
    port: own.port,
    ssl: own.ssl,
    database: login.database ?? own.database,
    ...(login.as ?? { user: own.user, password: own.password }),
    ...more,
  });
  // One that breaks between two statements is noticed by the next.
  client.on('error', () => undefined);
  return client;
}

/** Connected for as long as `work` takes. Throws STATE_UNAVAILABLE. */
export async function withClient<Result>(client: Client, work: (client: Client) => Promise<Result>): Promise<Result> {
  try {
    await client.connect();
    return await work(client);
  } catch (error) {
    throw stateError(error);
  } finally {
    await client.end().catch(() => undefined);
  }
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
