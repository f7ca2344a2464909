/**
 * Templates: for each seed a database that its text was loaded into once, of which new previews get copies.
 *
 * The text is a stranger's. It is loaded by a session that logs in as a role of its own with a tenant's rights, never by one of ours that has changed
 * its role: the text could change it back. The role may log in that one time, as the text could give it a password that others know. What the
 * session may take of time, disk and our memory is bounded from outside, because a session can lift its own limits.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError, escapeIdentifier, type Client, type Pool } from 'pg';
import { refusedSeedError, seedError, type DatabaseSeed } from '../../core/database-seed.ts';
import { FILE_COPY_FROM_BYTES, SEED_ANSWERS_MAX_BYTES } from '../../core/limits.ts';
import type { Log } from '../../ports.ts';
import { rowsOf } from './connections.ts';
import {
  clientFor,
  createDatabase,
  ensureTenant,
  markFinished,
  PRISTINE,
  removeTenant,
  withClient,
  type Tenant,
  type TenantServer,
} from './tenants.ts';

/** Every seed's role is a member. pg_hba.conf lets members in to the database of their own name, from where the operator is. */
export const SEEDS_ROLE = 'berth_seeds';

/** Between two looks at how much a seed has filled: what it fills beyond its limit is what the disk takes in that time. */
const WATCH_MS = 250;

const MIB = 1024 * 1024;

export interface Seeding extends TenantServer {
  readonly log: Log;
  /** Of the loading of one seed. */
  readonly timeoutMs: number;
}

/** Advisory locks are of the database that one is connected to: ours. */
const LOCK = 'select pg_advisory_lock(hashtextextended($1, 0))';

/**
 * There is a template of the seed. Where there is none it is made: by one, while whoever else asks waits. A failure leaves nothing, and what a kill
 * leaves is made anew. Throws SEED_FAILED.
 */
export async function ensureTemplate(server: Seeding, seed: DatabaseSeed): Promise<void> {
  if (await hasTemplate(server, seed)) return;
  const text = await seed.read();
  // Not of the pool, where those who wait would be in the way of those who need not.
  const turn = clientFor(server.url, { applicationName: 'berth seeds' }, { statement_timeout: server.timeoutMs * 2 });
  const giveUp = () => void turn.end();
  seed.signal.throwIfAborted();
  seed.signal.addEventListener('abort', giveUp, { once: true });
  try {
    await withClient(turn, async () => {
      await turn.query(LOCK, [seed.template]);
      // From here on the turn is kept until what was begun is cleared away.
      seed.signal.removeEventListener('abort', giveUp);
      if (!(await hasTemplate(server, seed))) await makeTemplate(server, seed, text);
    });
  } catch (error) {
    seed.signal.throwIfAborted();
    throw error;
  } finally {
    seed.signal.removeEventListener('abort', giveUp);
  }
}

async function hasTemplate({ pool, mark }: Seeding, { template }: DatabaseSeed): Promise<boolean> {
  const rows = await rowsOf(
    pool,
    `select from pg_roles join pg_database on datname = rolname
     where rolname = $1 and shobj_description(pg_roles.oid, 'pg_authid') = $2`,
    [template, mark],
  );
  return rows.length > 0;
}

async function makeTemplate(server: Seeding, seed: DatabaseSeed, text: string): Promise<void> {
  const { pool, log } = server;
  const database = escapeIdentifier(seed.template);
  const password = randomBytes(24).toString('hex');
  const tenant: Tenant = { name: seed.template, password, group: SEEDS_ROLE, connectionsMax: 1 };
  try {
    await ensureTenant(server, tenant);
    await createDatabase(pool, tenant, PRISTINE);
    await load(server, seed, { text, password });
    // What is copied from has nobody in it, and is copied by who owns it.
    await rowsOf(
      pool,
      `alter database ${database} allow_connections false; alter database ${database} owner to current_user`,
    );
    await markFinished(pool, server.mark, seed.template);
  } catch (error) {
    await removeTenant(server, seed.template).catch((failure: unknown) =>
      log.warn({ template: seed.template, err: failure }, 'an unfinished template could not be removed'),
    );
    throw error;
  }
}

/** Throws SEED_FAILED when the text is refused or goes beyond a limit, the signal's reason, or why the server could not. */
async function load(server: Seeding, seed: DatabaseSeed, what: { text: string; password: string }): Promise<void> {
  const { pool, timeoutMs } = server;
  const { template, path, signal } = seed;
  signal.throwIfAborted();
  const as = { user: template, password: what.password };
  const client = clientFor(
    server.url,
    { applicationName: 'berth seed', database: template, as },
    { statement_timeout: 0 },
  );
  const over = new AbortController();
  const end = (reason: unknown) => {
    over.abort(reason);
    client.connection.stream.destroy();
  };
  const endByCaller = () => end(signal.reason);
  const late = () => end(seedError(`The seed ${path} was not loaded within ${timeoutMs / 1_000} seconds.`));
  const timer = setTimeout(late, timeoutMs);
  signal.addEventListener('abort', endByCaller, { once: true });
  try {
    await withClient(client, async () => {
      await rowsOf(pool, `alter role ${escapeIdentifier(template)} nologin`);
      limitAnswers(client, () => end(seedError(`The seed ${path} makes the server answer too much.`)));
      void watchSize(pool, seed, over.signal).catch(end);
      await client.query(what.text).catch((error: unknown) => {
        throw isOfTheText(error) ? refusedSeedError(path, what.text, error) : error;
      });
    });
    await refuseTooLarge(pool, seed);
  } catch (error) {
    throw over.signal.aborted ? over.signal.reason : error;
  } finally {
    over.abort();
    clearTimeout(timer);
    signal.removeEventListener('abort', endByCaller);
  }
}

/** Before pg puts it together: one row may have a gigabyte. */
function limitAnswers(client: Client, onTooMuch: () => void): void {
  let bytes = 0;
  client.connection.stream.prependListener('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > SEED_ANSWERS_MAX_BYTES) onTooMuch();
  });
}

/** Until the signal fires. Throws SEED_FAILED. */
async function watchSize(pool: Pool, seed: DatabaseSeed, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await refuseTooLarge(pool, seed);
    await sleep(WATCH_MS);
  }
}

async function refuseTooLarge(pool: Pool, { template, path, maxBytes }: DatabaseSeed): Promise<void> {
  const [found] = await rowsOf<{ bytes: number }>(pool, 'select pg_database_size($1::name) as bytes', [template]);
  if ((found?.bytes ?? 0) > maxBytes)
    throw seedError(`The seed ${path} fills more than the ${maxBytes / MIB} MiB that the database may hold.`);
}

/** SQLSTATE classes of PostgreSQL's manual, appendix A, that speak of the server; 53400 is a limit that the text ran into. */
function isOfTheText(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && !/^(?:08|53(?!400)|57P|58|XX)/.test(error.code ?? '');
}

/**
 * The tenant's new database, a copy of the template with everything in it the tenant's, in the one transaction that also marks it as finished.
 * Whatever else speaks of the template's role (rights that it was given, rules for what it makes) goes.
 */
export async function copyTemplate(server: Seeding, tenant: Tenant, seed: DatabaseSeed): Promise<void> {
  const [found] = await rowsOf<{ bytes: number }>(server.pool, 'select pg_database_size($1::name) as bytes', [
    seed.template,
  ]);
  const strategy = (found?.bytes ?? 0) < FILE_COPY_FROM_BYTES ? 'wal_log' : 'file_copy';
  await createDatabase(server.pool, tenant, { name: seed.template, strategy });
  const [template, owner] = [escapeIdentifier(seed.template), escapeIdentifier(tenant.name)];
  await withClient(clientFor(server.url, { applicationName: 'berth seeds', database: tenant.name }), async (client) => {
    await client.query('begin');
    // A function goes only to who may create in its schema, which may not be the new owner's yet.
    await client.query(`grant ${template} to ${owner}`);
    await client.query(`reassign owned by ${template} to ${owner}`);
    await client.query(`drop owned by ${template}`);
    await client.query(`revoke ${template} from ${owner}`);
    await markFinished(client, server.mark, tenant.name);
    await client.query('commit');
  });
}
