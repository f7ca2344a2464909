/**
 * Brings the database to the schema of this version: graphile-worker's own migrations, then ours, which are plain SQL files under
 * migrations/ and are run by kysely's Migrator in one transaction.
 */
import { readdir, readFile } from 'node:fs/promises';
import { runMigrations } from 'graphile-worker';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { Migrator, type Migration, type MigrationProvider } from 'kysely/migration';
import { Client } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import type { Log } from '../../ports.ts';
import { connectionConfig, openPool, rowsOf, stateError } from './connections.ts';
import { graphileLogger } from './graphile-logger.ts';

const SCHEMA = 'berth';
const MIGRATIONS = new URL('./migrations/', import.meta.url);

const fileMigrations: MigrationProvider = {
  async getMigrations() {
    const files = (await readdir(MIGRATIONS)).filter((file) => file.endsWith('.sql')).sort();
    const migrations: Record<string, Migration> = {};
    for (const file of files) {
      const text = await readFile(new URL(file, MIGRATIONS), 'utf8');
      migrations[file.slice(0, -'.sql'.length)] = { up: async (db) => void (await sql.raw(text).execute(db)) };
    }
    return migrations;
  },
};

/**
 * Safe to call from several processes at once: one migrates, the others wait for it.
 * Throws STATE_TOO_NEW, and then changes nothing, when a newer version has already migrated; CONFIG_INVALID for a role that may not; STATE_UNAVAILABLE.
 */
export async function migrate(url: string, log: Log): Promise<void> {
  // A connection of its own holds the lock: it is freed by the server itself if we die half-way.
  const holder = new Client({ ...connectionConfig(url, 'berth migrate'), statement_timeout: 0 });
  holder.on('error', (error) => log.warn({ err: error }, 'the connection that holds the migration lock broke'));
  const pool = openPool({ ...connectionConfig(url, 'berth migrate'), max: 2 }, log);
  try {
    await holder.connect();
    await holder.query(`select pg_advisory_lock(hashtext('berth.migrate'), 0)`);
    await refuseNewer(holder);
    await runMigrations({ pgPool: pool, logger: graphileLogger(log) });
    await migrateOwn(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) }), log);
  } catch (error) {
    throw rightError(error) ?? stateError(error);
  } finally {
    await holder.end();
    await pool.end();
  }
}

/** SQLSTATE of insufficient privilege. */
const NO_RIGHT = '42501';

function rightError(error: unknown): OperatorError | null {
  if (!(error instanceof Error) || !('code' in error) || error.code !== NO_RIGHT) return null;
  return new OperatorError(
    'CONFIG_INVALID',
    `state.database_url: its role may not prepare the database: ${error.message}.`,
    {
      cause: error,
      hint: 'Give it a database that it owns (CREATE DATABASE … OWNER …), and CREATEDB and CREATEROLE.',
    },
  );
}

async function refuseNewer(client: Client): Promise<void> {
  const [table] = await rowsOf<{ exists: boolean }>(
    client,
    `select to_regclass('${SCHEMA}.kysely_migration') is not null as exists`,
  );
  if (table?.exists !== true) return;
  const known = Object.keys(await fileMigrations.getMigrations());
  const applied = await rowsOf<{ name: string }>(client, `select name from ${SCHEMA}.kysely_migration order by name`);
  const unknown = applied.find(({ name }) => !known.includes(name));
  if (unknown === undefined) return;
  throw new OperatorError(
    'STATE_TOO_NEW',
    `The database has the migration ${unknown.name}, which this version of Berth does not know; its latest is ${known.at(-1)}.`,
  );
}

async function migrateOwn(db: Kysely<unknown>, log: Log): Promise<void> {
  const migrator = new Migrator({ db, provider: fileMigrations, migrationTableSchema: SCHEMA });
  const { error, results = [] } = await migrator.migrateToLatest();
  for (const { migrationName, status } of results) {
    if (status === 'Success') log.info({ migration: migrationName }, 'database migrated');
  }
  if (error !== undefined) throw error;
}
