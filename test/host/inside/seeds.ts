import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, host } from './a-host-runtime.ts';
import { inventory, isAsBefore } from './an-inventory.ts';
import { anOperator, askCaddy, preview, shopAt, shows } from './an-operator.ts';

const SEED = `
create table visits (version text);
insert into visits values ('from the seed'), ('from the seed');
create function whose() returns name language sql security definer as 'select current_user';
`;
const seeded = (version: string, seed: string) => {
  const app = shopAt(version);
  return { ...app, 'preview.toml': `databaseSeed = "db/seed.sql"\n${app['preview.toml'] ?? ''}`, 'db/seed.sql': seed };
};
const psql = (database: string, statement: string) =>
  host('psql', '-XAtU', 'postgres', '-d', database, '-c', statement).trim();

test('previews begin with their repository’s seed, which the operator loads over the socket; nothing of it is left', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  await repository.commit('plain', shopAt('1'), 'Without a seed');
  const plain = await repository.openPullRequest({ head: 'plain' });
  await shows('shop-1.preview.test', 'version 1');
  const gone = (slug: string) =>
    eventually(async () => !(await preview('list', '--json')).includes(slug), `${slug} is gone`);
  // What is made once: the copy of the repository, the closure, Caddy's block for this kind of route.
  await plain.close();
  await gone('shop-1');
  const clean = inventory();

  const pulls = [];
  for (const branch of ['one', 'two']) {
    await repository.commit(branch, seeded('2', SEED), branch);
    pulls.push(await repository.openPullRequest({ head: branch }));
  }
  for (const slug of ['shop-2', 'shop-3']) {
    await shows(`${slug}.preview.test`, 'version 2');
    // Two of the seed, and one of its own setup, which could write into the seed's table.
    assert.equal((await askCaddy(`${slug}.preview.test`, '/visits')).text, '3\n');
    const database = `preview_${slug.replace('-', '_')}`;
    assert.equal(psql(database, 'select whose()'), database);
  }
  const templates = psql('postgres', `select datname from pg_database where datname like 'berth\\_seed\\_%'`).split(
    '\n',
  );
  assert.equal(templates.length, 1);

  await repository.commit('bad', seeded('3', `copy (select 1) to program 'touch /tmp/escaped'`), 'Bad');
  const bad = await repository.openPullRequest({ head: 'bad' });
  await eventually(
    () => bad.comments.some(({ body }) => body.includes('SEED_FAILED')),
    'the comment names SEED_FAILED',
  );

  for (const pull of [...pulls, bad]) await pull.close();
  for (const slug of ['shop-2', 'shop-3', 'shop-4']) await gone(slug);
  assert.match(await preview('doctor', '--fix'), /template database that belongs to no preview/);
  await isAsBefore(clean);
});
