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
export async function ensureTenant({ pool, mark }: TenantServer, tenant: Tenant): Promise<boolean> {
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
  if (was === 'unfinished') await dropDatabase(pool, name);
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

/** Database first: the role carries the mark by which an unfinished removal is found again. */
export async function removeTenant({ pool, mark }: TenantServer, name: string): Promise<void> {
  const [found] = await rowsOf(
    pool,
    `select from pg_roles where rolname = $1 and shobj_description(oid, 'pg_authid') = any ($2)`,
    [name, [mark, unfinished(mark)]],
  );
  if (found === undefined) return;
  // Nobody new gets in between the end of those who are connected and the end of the database.
  await rowsOf(pool, `alter role ${escapeIdentifier(name)} nologin`);
  await dropDatabase(pool, name);
  await rowsOf(pool, `drop role if exists ${escapeIdentifier(name)}`);
}

async function dropDatabase(pool: Pool, name: string): Promise<void> {
  const [found] = await rowsOf<{ isTemplate: boolean }>(
    pool,
    'select datistemplate as "isTemplate" from pg_database where datname = $1',
    [name],
  );
  if (found === undefined) return;
  // Its owner may have said so, and then it could not be dropped.
  if (found.isTemplate) await rowsOf(pool, `alter database ${escapeIdentifier(name)} is_template false`);
  await rowsOf(pool, `drop database if exists ${escapeIdentifier(name)} with (force)`);
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
