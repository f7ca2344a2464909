import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, suite, test } from 'node:test';
import { openAppDatabases } from '../../../../webhook/adapters/postgres/app-databases.ts';
import type { DatabaseSeed } from '../../../../webhook/core/database-seed.ts';
import { SEED_ANSWERS_MAX_BYTES } from '../../../../webhook/core/limits.ts';
import { templateNameOf, type DatabaseName } from '../../../../webhook/core/names.ts';
import type { OperatorError } from '../../../../webhook/core/errors.ts';
import type { PreviewDatabase } from '../../../../webhook/core/preview.ts';
import type { AppDatabases } from '../../../../webhook/ports.ts';
import { silentLog } from '../../../support/silent-log.ts';
import { onServer } from '../../../support/on-server.ts';
import { openTestDatabase, type TestDatabase } from '../../../support/test-database.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const PATIENCE_MS = 60_000;
const SEED_TIMEOUT_MS = 120_000;
const MIB = 1024 * 1024;
const SHOP = `
  create schema shop;
  create type shop.colour as enum ('red', 'green');
  create table shop.articles (id serial primary key, colour shop.colour, name text not null);
  insert into shop.articles (colour, name) values ('red', 'kettle'), ('green', 'chair');
  create table public.notes as select 'one' as text;
  create view public.names as select name from shop.articles;
  create function shop.count() returns bigint language sql as 'select count(*) from shop.articles';
  create function whose() returns name language sql security definer as 'select current_user';
  select lo_create(4711);
  alter default privileges grant select on tables to public;
  grant select on shop.articles to current_user;
  create extension if not exists pgcrypto;
`;

/** Names of this run alone: the server may be shared. */
const run = randomBytes(3).toString('hex');
const repositoryId = randomInt(1, 2 ** 40);
const TOUCHED = join(tmpdir(), `berth-seed-${run}`);
let made = 0;
const aDatabase = (): PreviewDatabase => ({
  name: `preview_${run}_${(made += 1)}` as DatabaseName,
  password: 'p'.repeat(24),
});

function aSeed(text: string, more: Partial<DatabaseSeed> = {}): DatabaseSeed {
  return {
    template: templateNameOf(repositoryId, createHash('sha256').update(text).digest('hex')),
    path: 'db/seed.sql',
    read: async () => text,
    maxBytes: 64 * MIB,
    signal: new AbortController().signal,
    ...more,
  };
}

suite('seeded databases', () => {
  let state: TestDatabase;
  let databases: AppDatabases & { close(): Promise<void> };

  before(async () => {
    state = await openTestDatabase({ empty: true });
    databases = await open();
  });
  const open = (seedTimeoutMs = SEED_TIMEOUT_MS) => {
    const { hostname, port } = new URL(state.url);
    return openAppDatabases({
      url: state.url,
      appHost: hostname,
      appPort: Number(port || 5432),
      seedTimeoutMs,
      log: silentLog,
    });
  };
  afterEach(async () => {
    for (const name of await databases.list()) await databases.remove(name);
    for (const name of await databases.listTemplates()) await databases.removeTemplate(name);
    assert.deepEqual(await left(), []);
  });
  after(async () => {
    await databases.close();
    await state[Symbol.asyncDispose]();
  });

  /** Everything of this run that is on the server. */
  const left = async () => {
    const ours = [`preview\\_${run}\\_%`, `berth\\_seed\\_${repositoryId}\\_%`];
    const rows = await onServer(
      state.url,
      `select rolname as name from pg_roles where rolname like any ($1)
       union all select datname from pg_database where datname like any ($1)`,
      [ours],
    );
    return rows.map(({ name }) => name);
  };

  const as = async (database: PreviewDatabase, text: string, target: string = database.name) => {
    const url = new URL(databases.urlOf(database, { host: '', instance: '' }));
    url.pathname = `/${target}`;
    return onServer(url.href, text);
  };

  test('hold what the seed made, and all of it belongs to the preview alone', async () => {
    const [mine, seed] = [aDatabase(), aSeed(SHOP)];
    await databases.ensure(mine, seed);
    assert.deepEqual(await as(mine, 'select name from names order by name'), [{ name: 'chair' }, { name: 'kettle' }]);
    assert.deepEqual(await as(mine, 'select shop.count()::int, whose()'), [{ count: 2, whose: mine.name }]);
    for (const statement of [
      'alter table shop.articles add column price int',
      `insert into shop.articles (name) values ('lamp')`,
      `alter type shop.colour add value 'blue'`,
      'drop view names',
      'drop function shop.count()',
      'drop schema shop cascade',
      'select lo_unlink(4711)',
      'drop extension pgcrypto',
      'create table public.more ()',
    ])
      await as(mine, statement);
    // Nothing in it speaks of the template's role any more, so that that can go.
    const rest = await onServer(
      state.url,
      `select classid::regclass, objid, deptype from pg_shdepend join pg_database d on d.oid = dbid
       where d.datname = $1 and refobjid = (select oid from pg_roles where rolname = $2)`,
      [mine.name, seed.template],
    );
    assert.deepEqual(rest, []);
    await databases.removeTemplate(seed.template);
    assert.deepEqual(await as(mine, 'select text from notes'), [{ text: 'one' }]);
    const rights = await onServer(
      state.url,
      `select datconnlimit > 0 as limited, has_database_privilege('berth_tenants', datname, 'connect') as open
       from pg_database where datname = $1`,
      [mine.name],
    );
    assert.deepEqual(rights, [{ limited: true, open: false }]);
  });

  test('are made of one template, however many are asked for at once; later ones need no text', async () => {
    const seed = aSeed('create table origin as select gen_random_uuid() as id');
    const all = Array.from({ length: 20 }, aDatabase);
    await Promise.all(all.map((each) => databases.ensure(each, seed)));
    const later = aDatabase();
    await databases.ensure(later, { ...seed, read: () => assert.fail('it was read again') });
    const origins = await Promise.all([...all, later].map((each) => as(each, 'select id from origin')));
    assert.equal(new Set(origins.map((rows) => rows[0]?.['id'])).size, 1);
    assert.deepEqual(await databases.listTemplates(), [seed.template]);
  });

  test('stay as they are when the seed changes', async () => {
    const mine = aDatabase();
    await databases.ensure(mine, aSeed('create table first ()'));
    await databases.ensure(mine, aSeed('create table second ()'));
    await as(mine, 'select from first');
    assert.equal((await databases.listTemplates()).length, 1);
  });

  test('nobody gets into a template, nor has another repository the same one', async () => {
    const [mine, seed] = [aDatabase(), aSeed('create table secret ()')];
    await databases.ensure(mine, seed);
    await assert.rejects(as(mine, 'select', seed.template), { code: /^(?:28000|55000|42501)$/ });
    await assert.rejects(as(mine, `create database copy template ${seed.template}`), { code: '42501' });
    assert.notEqual(templateNameOf(1, 'a'.repeat(64)), templateNameOf(2, 'a'.repeat(64)));
    const rows = await onServer(
      state.url,
      `select datallowconn, rolcanlogin from pg_database join pg_roles on rolname = datname where datname = $1`,
      [seed.template],
    );
    assert.deepEqual(rows, [{ datallowconn: false, rolcanlogin: false }]);
  });

  test('a seed’s role may not log in a second time, even with a password that it gave itself', async () => {
    const mine = aDatabase();
    const seed = aSeed(`
      alter role current_user password 'known';
      create table seen as select rolcanlogin, rolsuper from pg_roles where rolname = current_user`);
    await databases.ensure(mine, seed);
    assert.deepEqual(await as(mine, 'select * from seen'), [{ rolcanlogin: false, rolsuper: false }]);
  });

  const hostile: Record<string, string> = {
    'psql’s own commands': `select 1;\n\\! touch ${TOUCHED}`,
    'a program': `copy (select 1) to program 'touch ${TOUCHED}'`,
    'a program’s output': `create table t (t text); copy t from program 'id'`,
    'a file': `create table t (t text); copy t from '/etc/passwd'`,
    'text of ours': `create table t (t text); copy t from stdin`,
    'the server’s settings': `alter system set max_connections = 1`,
    'a superuser': 'create role boss superuser',
    'to be one': 'alter role current_user superuser',
    'to be us': 'set session authorization postgres',
    'our role back': 'reset session authorization; set role postgres',
    'a login of its own': 'alter role current_user login connection limit 100',
    dblink: 'create extension dblink',
    postgres_fdw: 'create extension postgres_fdw',
    'another language': 'create extension plpython3u',
    'C code': `create function f() returns int language c as '/lib/x86_64-linux-gnu/libc.so.6', 'getpid'`,
    'our database': 'create database mine',
    'passwords of others': 'select rolpassword from pg_authid',
    'a syntax error': 'create tabel t ()',
    'to end itself in the middle': `create table t (); select 1/0`,
  };
  test('a seed that wants more than a tenant may is refused, nothing is left, and the next one may be better', async (t) => {
    const mine = aDatabase();
    const accepted: string[] = [];
    await Promise.all(
      Object.entries(hostile).map(async ([what, text]) => {
        const refused = { code: 'SEED_FAILED', retry: 'on-new-input' };
        await assert
          .rejects(databases.ensure(aDatabase(), aSeed(text)), refused, what)
          .catch((error: Error) => accepted.push(error.message));
      }),
    );
    t.diagnostic(`${accepted.length} of ${Object.keys(hostile).length} accepted`);
    assert.deepEqual(accepted, []);
    assert.deepEqual(await databases.listTemplates(), []);
    assert.equal(existsSync(TOUCHED), false);
    await assert.rejects(databases.ensure(mine, aSeed('select 1/0')), { code: 'SEED_FAILED' });
    assert.equal(await databases.has(mine.name), false);
    await databases.ensure(mine, aSeed('create table fine ()'));
    await as(mine, 'select from fine');
  });

  test('what PostgreSQL said of a seed is told, with the line where it knows one', async () => {
    const text = `-- ${'\u{1F6A2}'.repeat(50)}\nselect 1;\nselect nothing;`;
    await assert.rejects(databases.ensure(aDatabase(), aSeed(text)), (error: OperatorError) => {
      assert.equal(error.message, 'The seed db/seed.sql, line 3 was refused by PostgreSQL.');
      assert.equal(error.detail, 'column "nothing" does not exist');
      return true;
    });
    const late = aSeed('create table t (n int check (n < 2));\n\ninsert into t values (3);');
    const words = {
      message: 'The seed db/seed.sql was refused by PostgreSQL.',
      detail: /violates check constraint "t_n_check"/,
    };
    await assert.rejects(databases.ensure(aDatabase(), late), words);
  });

  const sessions = (seed: DatabaseSeed) =>
    onServer(state.url, 'select pid from pg_stat_activity where usename = $1', [seed.template]);

  test('one that does not end is ended, whatever limits it gives itself', async () => {
    await using hasty = await disposable(open(500));
    const seed = aSeed('set statement_timeout = 0; select pg_sleep(600)');
    await assert.rejects(hasty.ensure(aDatabase(), seed), {
      code: 'SEED_FAILED',
      message: /not loaded within 0.5 sec/,
    });
    assert.deepEqual(await sessions(seed), []);
    assert.deepEqual(await databases.listTemplates(), []);
  });

  test('one that is not wanted any more is ended at once, and so is the wait for one; who is next has its turn', async () => {
    const wanted = [new AbortController(), new AbortController()];
    const [seed, next] = [aSeed('select pg_sleep(600)'), aDatabase()];
    const ask = (more: Partial<DatabaseSeed>, mine = aDatabase()) => databases.ensure(mine, { ...seed, ...more });
    const first = Promise.allSettled([ask({ signal: wanted[0]?.signal ?? assert.fail() })]);
    await waitUntil('it to load', async () => (await sessions(seed)).length > 0, PATIENCE_MS);
    const second = Promise.allSettled([ask({ signal: wanted[1]?.signal ?? assert.fail() })]);
    const third = Promise.allSettled([ask({ read: async () => 'create table fine ()' }, next)]);
    const text = `select from pg_stat_activity where datname = $1 and application_name = 'berth seeds' and wait_event_type = 'Lock'`;
    const waiters = () => onServer(state.url, text, [new URL(state.url).pathname.slice(1)]);
    await waitUntil('the others to wait', async () => (await waiters()).length === 2, PATIENCE_MS);
    for (const each of wanted.toReversed()) each.abort(new Error('superseded'));
    const outcomes = (await Promise.all([first, second, third])).flat();
    const words = outcomes.map((each) => (each.status === 'rejected' ? String(each.reason) : 'it was made'));
    assert.deepEqual(words, ['Error: superseded', 'Error: superseded', 'it was made']);
    await as(next, 'select from fine');
    assert.deepEqual(await sessions(seed), []);
  });

  test('one that fills too much is ended while it does, or refused at its end', async () => {
    const fill = (rows: number) => `create table t as select repeat(md5(generate_series(1, ${rows})::text), 40)`;
    for (const [text, maxBytes] of [
      [fill(2_000_000_000), 64 * MIB],
      [fill(1), MIB],
    ] as const) {
      const seed = aSeed(text, { maxBytes });
      const words = new RegExp(`fills more than the ${maxBytes / MIB} MiB`);
      await assert.rejects(databases.ensure(aDatabase(), seed), { code: 'SEED_FAILED', message: words });
    }
    assert.deepEqual(await databases.listTemplates(), []);
  });

  test('one that makes the server answer without end is ended, however it does that', async () => {
    for (const text of [
      'select generate_series(1, 2000000000)',
      `select repeat('x', 50000000)`,
      `do $$ begin loop raise notice '%', repeat('x', 10000); end loop; end $$`,
      `do $$ begin raise exception '%', repeat('x', 50000000); end $$`,
      'copy (select generate_series(1, 2000000000)) to stdout',
    ]) {
      const message = 'The seed db/seed.sql makes the server answer too much.';
      await assert.rejects(databases.ensure(aDatabase(), aSeed(text)), { code: 'SEED_FAILED', message });
    }
    const fits = aDatabase();
    await databases.ensure(fits, aSeed(`select repeat('x', ${SEED_ANSWERS_MAX_BYTES / 2})`));
    assert.equal(await databases.has(fits.name), true);
  });

  test('its functions have the preview’s rights, and no more', async () => {
    const mine = aDatabase();
    await databases.ensure(
      mine,
      aSeed(`
        create function rise() returns void language plpgsql security definer
          as $$ begin execute 'alter role ' || session_user || ' superuser'; end $$;
        create function peek() returns text language sql security definer as $$ select pg_read_file('/etc/passwd') $$;
        create function follow() returns event_trigger language plpgsql as $$ begin raise 'no'; end $$`),
    );
    for (const call of [
      'select rise()',
      'select peek()',
      'create event trigger t on ddl_command_end execute function follow()',
    ])
      await assert.rejects(as(mine, call), { code: '42501' });
  });

  test('a template that somebody was killed over is made anew', async () => {
    const [mine, seed] = [aDatabase(), aSeed('create table whole ()')];
    const script = join(import.meta.dirname, '../../../support/seeding-process.ts');
    const half = 'begin; create table half (); commit; select pg_sleep(600)';
    const child = spawn(process.execPath, [script, state.url, mine.name, seed.template, half], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    try {
      const asleep = `select from pg_stat_activity where usename = $1 and wait_event = 'PgSleep'`;
      await waitUntil(
        'it to load',
        async () => (await onServer(state.url, asleep, [seed.template])).length > 0,
        PATIENCE_MS,
      );
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    assert.deepEqual(await databases.listTemplates(), [seed.template]);
    assert.equal(await databases.has(mine.name), false);
    await databases.ensure(mine, seed);
    await as(mine, 'select from whole');
    await assert.rejects(as(mine, 'select from half'), { code: '42P01' });
  });

  test('a copy that was cut off is made anew, and so is a database that somebody dropped', async () => {
    const [mine, seed] = [aDatabase(), aSeed('create table whole ()')];
    await databases.ensure(mine, seed);
    await as(mine, 'create table since ()');
    // As a kill before the end leaves it.
    const [found] = await onServer(
      state.url,
      `select shobj_description(oid, 'pg_authid') as mark from pg_roles where rolname = $1`,
      [mine.name],
    );
    await onServer(state.url, `comment on role ${mine.name} is '${String(found?.['mark'])}, unfinished'`);
    assert.equal(await databases.has(mine.name), false);
    assert.deepEqual(await databases.list(), [mine.name]);
    for (const cut of ['', `drop database ${mine.name}`]) {
      if (cut !== '') await onServer(state.url, cut);
      await databases.ensure(mine, seed);
      await as(mine, 'select from whole');
      await assert.rejects(as(mine, 'select from since'), { code: '42P01' });
    }
  });

  test('what a seed says of its database cannot keep it from being removed', async () => {
    const [mine, seed] = [aDatabase(), aSeed('create table t ()')];
    await databases.ensure(mine, seed);
    await as(mine, `alter database ${mine.name} is_template true`);
    await databases.remove(mine.name);
    const stubborn = `do $$ begin execute format('alter database %I is_template true', current_database()); end $$; select 1/0`;
    await assert.rejects(databases.ensure(mine, aSeed(stubborn)), { code: 'SEED_FAILED' });
    assert.deepEqual(await databases.listTemplates(), [seed.template]);
  });

  test('a large template is copied file by file', async () => {
    const [mine, other] = [aDatabase(), aDatabase()];
    const text = 'create table t as select n, md5(n::text) from generate_series(1, 2000000) n';
    const seed = aSeed(text, { maxBytes: 1_024 * MIB });
    await databases.ensure(mine, seed);
    assert.ok(((await databases.limitSize(mine.name, 1_024 * MIB)) ?? 0) > 100 * MIB);
    await databases.ensure(other, seed);
    assert.deepEqual(await as(other, 'select count(*)::int from t'), [{ count: 2_000_000 }]);
  });
});

async function disposable<Opened extends { close(): Promise<void> }>(
  opening: Promise<Opened>,
): Promise<Opened & AsyncDisposable> {
  const opened = await opening;
  return { ...opened, [Symbol.asyncDispose]: () => opened.close() };
}
