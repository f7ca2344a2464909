/** What PostgreSQL takes by itself for a preview's database. */
import type { Client } from 'pg';

/** A role with a database of its own. */
export async function createDatabaseAlone(client: Client): Promise<void> {
  await client.query(`create role bench_preview login password 'bench'`);
  await client.query('create database bench_preview owner bench_preview template template0 strategy wal_log');
}

export async function dropDatabaseAlone(client: Client): Promise<void> {
  await client.query('drop database bench_preview with (force)');
  await client.query('drop role bench_preview');
}
