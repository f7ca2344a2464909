/** A preview that fills its database, on the real service: cut off by the sweep, told on the pull request, opened by a push that raises the limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from 'pg';
import { appFiles, aRealService } from '../support/a-real-service.ts';

const SWEEP_SECONDS = 10;

const manifest = (databaseMiB: number) =>
  `database = "host"\n${appFiles('hello-node')['preview.toml'] ?? ''}\n[limits]\ndatabaseMiB = ${databaseMiB}\n`;

test('a database that grows too large is closed and said to be, and a push that raises its limit opens it', async () => {
  await using service = await aRealService({ sweep_seconds: SWEEP_SECONDS });
  const app = appFiles('hello-node');
  const pull = await service.open('large', {
    ...app,
    'preview.toml': manifest(64),
    'server.js': (app['server.js'] ?? '').replace(
      'hasDatabase: DATABASE_URL !== undefined',
      'databaseUrl: DATABASE_URL',
    ),
  });
  const first = pull.head;
  const { body } = await service.shows(pull, first, '/environment');
  const { databaseUrl } = JSON.parse(body) as { databaseUrl: string };
  await service.says(pull, 'is live', first);
  await query(
    databaseUrl,
    'create table filler as select repeat(md5(n::text), 40) as text from generate_series(1, 50000) n',
  );

  await service.says(pull, 'DATABASE_TOO_LARGE', 'may hold 64', `still shows ${first.slice(0, 7)}`);
  await assert.rejects(query(databaseUrl, 'select'), { code: '53300' });
  await service.shows(pull, first);

  await pull.push({ 'preview.toml': manifest(1_024) });
  await service.shows(pull, pull.head);
  await service.says(pull, 'is live', pull.head);
  assert.deepEqual(await query(databaseUrl, 'select count(*)::int from filler'), [{ count: 50_000 }]);
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}
