/** Previews that fill their database, on the real service: cut off by the sweep, told on the pull request, opened by a push that raises the limit. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { Client } from 'pg';
import { appWithDatabase, aRealService, type RealService } from '../support/a-real-service.ts';
import { waitUntil } from '../support/wait-until.ts';

const SWEEP_SECONDS = 10;
const PATIENCE_MS = 60_000;
const FILL = 'create table filler as select repeat(md5(n::text), 40) as text from generate_series(1, 50000) n';
const CLOSED = { code: '53300' };

const app = appWithDatabase();
const manifest = (databaseMiB: number) => `${app['preview.toml'] ?? ''}\n[limits]\ndatabaseMiB = ${databaseMiB}\n`;

let service: RealService;
before(async () => {
  service = await aRealService({ sweep_seconds: SWEEP_SECONDS });
});
after(() => service[Symbol.asyncDispose]());

test('a database that grows too large is closed and said to be, and a push that raises its limit opens it', async () => {
  const pull = await service.open('large', { ...app, 'preview.toml': manifest(64) });
  const first = pull.head;
  const { body } = await service.shows(pull, first, '/environment');
  const { databaseUrl } = JSON.parse(body) as { databaseUrl: string };
  await service.says(pull, 'is live', first);
  await query(databaseUrl, FILL);

  await service.says(pull, 'DATABASE_TOO_LARGE', 'may hold 64', `still shows ${first.slice(0, 7)}`);
  await assert.rejects(query(databaseUrl, 'select'), CLOSED);
  await service.shows(pull, first);

  await pull.push({ 'preview.toml': manifest(1_024) });
  await service.shows(pull, pull.head);
  await service.says(pull, 'is live', pull.head);
  assert.deepEqual(await query(databaseUrl, 'select count(*)::int from filler'), [{ count: 50_000 }]);
});

test('a setup that fills the database is cut off while it runs, and that is what its failure is said to be', async () => {
  // The setup says where its database is, and fails when it is answered.
  const listener = createServer((request, response) => {
    void text(request).then(async (databaseUrl) => {
      await query(databaseUrl, FILL);
      const isClosed = () => query(databaseUrl, 'select').then(() => false, isRefused);
      await waitUntil('the sweep to close the database', isClosed, PATIENCE_MS).finally(() => response.end());
    });
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  try {
    const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
    const pull = await service.open('filling', {
      ...app,
      'preview.toml': manifest(64),
      'setup.js': `fetch('${url}', { method: 'POST', body: process.env.DATABASE_URL }).finally(() => process.exit(1));\n`,
    });
    await service.says(pull, 'DATABASE_TOO_LARGE', pull.head);
  } finally {
    listener.close();
  }
});

const isRefused = (error: { code?: string }) => error.code === CLOSED.code;

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  // Who is cut off hears of it twice: here, and from the statement.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}
