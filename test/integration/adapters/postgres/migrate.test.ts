import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { migrate } from '../../../../webhook/adapters/postgres/migrate.ts';
import type { Log } from '../../../../webhook/ports.ts';
import { silentLog } from '../../../support/silent-log.ts';
import { onServer } from '../../../support/on-server.ts';
import { openTestDatabase } from '../../../support/test-database.ts';

const MIGRATIONS = new URL('../../../../webhook/adapters/postgres/migrations/', import.meta.url);

async function applied(url: string): Promise<string[]> {
  return (await onServer(url, 'select name from berth.kysely_migration order by name')).map(
    (row) => row['name'] as string,
  );
}

suite('migrate', () => {
  test('brings an empty database to the latest schema, and running it again changes nothing', async () => {
    await using database = await openTestDatabase({ empty: true });
    await migrate(database.url, silentLog);
    const files = (await readdir(MIGRATIONS)).map((file) => file.replace(/\.sql$/, '')).sort();
    assert.deepEqual(await applied(database.url), files);
    const before = await onServer(database.url, 'select * from berth.kysely_migration order by name');
    await migrate(database.url, silentLog);
    assert.deepEqual(await onServer(database.url, 'select * from berth.kysely_migration order by name'), before);
  });

  test('of several at once one migrates and the others wait for it', async () => {
    await using database = await openTestDatabase({ empty: true });
    const lines: string[] = [];
    const log: Log = { ...silentLog, info: (_fields, message) => void lines.push(message) };
    await Promise.all([1, 2, 3].map(() => migrate(database.url, log)));
    const files = await readdir(MIGRATIONS);
    assert.equal(lines.length, files.length, 'each migration was run once');
    assert.equal((await applied(database.url)).length, files.length);
  });

  test('a database of a newer version is refused and left as it is', async () => {
    await using database = await openTestDatabase();
    await onServer(
      database.url,
      `insert into berth.kysely_migration (name, timestamp) values ('9999-from-the-future', 'now')`,
    );
    await assert.rejects(migrate(database.url, silentLog), { code: 'STATE_TOO_NEW', message: /9999-from-the-future/ });
    assert.ok((await applied(database.url)).includes('9999-from-the-future'));
  });

  test('a server that is not there is STATE_UNAVAILABLE', async () => {
    await assert.rejects(migrate('postgres://nobody:nothing@127.0.0.1:1/nowhere', silentLog), {
      code: 'STATE_UNAVAILABLE',
    });
  });

  test('a key is of a pull request or of a branch, never both or neither', async () => {
    await using database = await openTestDatabase();
    const insert = (pull: number | null, branch: string | null) =>
      onServer(
        database.url,
        `insert into berth.previews (repository_id, pull_number, branch, repository) values (1, $1, $2, 'a/b') returning key`,
        [pull, branch],
      );
    assert.deepEqual(await insert(7, null), [{ key: '1/pull/7' }]);
    assert.deepEqual(await insert(null, 'feature/x'), [{ key: '1/branch/feature/x' }]);
    await assert.rejects(insert(7, null), { code: '23505' });
    await assert.rejects(insert(null, 'feature/x'), { code: '23505' });
    await assert.rejects(insert(8, 'x'), { code: '23514' });
    await assert.rejects(insert(null, null), { code: '23502' });
    await assert.rejects(insert(0, null), { code: '23514' });
  });
});
