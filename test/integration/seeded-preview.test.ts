/** Databases that begin with a seed, on the real service: what the app finds, what a push changes, what a bad seed says, and what is left. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { appFiles, aRealService, type RealService } from '../support/a-real-service.ts';
import type { FakePullRequest } from '../support/fake-github/pull-request.ts';
import { onServer } from '../support/on-server.ts';

const app = appFiles('hello-node');
const files = {
  ...app,
  'preview.toml': `database = "host"\ndatabaseSeed = "db/seed.sql"\n${app['preview.toml'] ?? ''}`,
  'server.js': (app['server.js'] ?? '').replace('hasDatabase: DATABASE_URL !== undefined', 'databaseUrl: DATABASE_URL'),
};
const SEED = `create table articles (name text);
insert into articles values ('kettle');
create table origin as select gen_random_uuid() as id;
`;

let service: RealService;
before(async () => {
  service = await aRealService();
});
after(() => service[Symbol.asyncDispose]());

/** Asks with the URL that the app itself was given. */
async function ask(pull: FakePullRequest, statement: string): Promise<Record<string, unknown>[]> {
  const { body } = await service.shows(pull, pull.head, '/environment');
  return onServer((JSON.parse(body) as { databaseUrl: string }).databaseUrl, statement);
}

const templates = async () => {
  const text = `select datname as name from pg_database where datname like 'berth\\_seed\\_%'`;
  return (await onServer(service.databaseUrl, text)).map(({ name }) => String(name));
};

test('a preview’s database begins with its repository’s seed, loaded once, and a push leaves it alone', async () => {
  const shop = await service.repository('shop', { ...files, 'db/seed.sql': SEED });
  const first = await shop.openPullRequest({ head: 'feature' });
  assert.deepEqual(await ask(first, 'select name from articles'), [{ name: 'kettle' }]);
  await ask(first, `insert into articles values ('lamp')`);

  await shop.commit('other', { ...files, 'db/seed.sql': SEED });
  const second = await shop.openPullRequest({ head: 'other' });
  assert.deepEqual(await ask(second, 'select name from articles'), [{ name: 'kettle' }]);
  assert.deepEqual(await ask(second, 'select id from origin'), await ask(first, 'select id from origin'));
  assert.equal((await templates()).length, 1);

  await first.push({ 'db/seed.sql': `${SEED}insert into articles values ('chair');` });
  const names = await ask(first, 'select name from articles order by name');
  assert.deepEqual(names, [{ name: 'kettle' }, { name: 'lamp' }]);

  const inUse = await service.preview('doctor');
  assert.doesNotMatch(inUse.stdout, /template/);
  await service.closeAll();
  const [template = ''] = await templates();
  const found = await service.preview('doctor', '--fix');
  assert.match(found.stdout, new RegExp(`${template}: a template database that belongs to no preview`));
  assert.deepEqual(await templates(), []);
});

test('a seed that cannot be loaded is told with its line, and the next push may have a better one', async () => {
  const pull = await service.open('broken', { ...files, 'db/seed.sql': 'select 1;\ncreate tabel articles ();\n' });
  const said = ['SEED_FAILED', 'db/seed.sql, line 2', 'syntax error at or near', pull.head];
  await service.says(pull, ...said);
  await pull.push({ 'db/seed.sql': null });
  await service.says(pull, 'SEED_FAILED', 'no file db/seed.sql', pull.head);
  await pull.push({ 'db/seed.sql': SEED });
  await service.says(pull, 'is live', pull.head);
  assert.deepEqual(await ask(pull, 'select name from articles'), [{ name: 'kettle' }]);
});
