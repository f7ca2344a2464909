/**
 * Real PostgreSQL for tests: a migrated database of one's own in some 30 ms. The server is the one of TEST_DATABASE_URL or DATABASE_URL,
 * or else an embedded one that this test process starts and stops.
 */
import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import { migrate } from '../../webhook/adapters/postgres/migrate.ts';
import { onServer } from './on-server.ts';
import { silentLog } from './silent-log.ts';
import { startTestServer, type TestServer } from './test-server.ts';

let ownServer: Promise<TestServer> | null = null;

/** The server of this test process; its own is stopped after the last test. */
async function testServerUrl(): Promise<string> {
  const given = process.env['TEST_DATABASE_URL'] ?? process.env['DATABASE_URL'];
  if (given !== undefined && given !== '') return given;
  ownServer ??= startTestServer();
  return (await ownServer).url;
}

after(async () => {
  if (ownServer !== null) return (await ownServer).stop();
  if (templates.size === 0) return;
  const given = await testServerUrl();
  const template = await templates.get(given);
  if (template !== undefined) await drop(given, template);
});

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
}

/** Migrated databases of this process, by server. */
const templates = new Map<string, Promise<string>>();

/** A database of one's own, migrated unless `empty`, gone when disposed of. */
export async function openTestDatabase(options: { empty?: boolean; server?: string } = {}): Promise<TestDatabase> {
  const server = options.server ?? (await testServerUrl());
  const template = options.empty === true ? null : await templateOf(server);
  const url = await create(server, template);
  return { url, [Symbol.asyncDispose]: () => drop(server, url) };
}

async function templateOf(server: string): Promise<string> {
  const known = templates.get(server);
  if (known !== undefined) return known;
  const made = (async () => {
    const url = await create(server, null);
    await migrate(url, silentLog);
    return url;
  })();
  templates.set(server, made);
  return made;
}

async function create(server: string, template: string | null): Promise<string> {
  const name = `berth_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  const from = template === null ? 'template1' : new URL(template).pathname.slice(1);
  await onServer(server, `create database ${name} template ${from} strategy wal_log`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

async function drop(server: string, url: string): Promise<void> {
  await onServer(server, `drop database if exists ${new URL(url).pathname.slice(1)} with (force)`);
}
