import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { Client } from 'pg';
import { openAppDatabases } from '../../../../webhook/adapters/postgres/app-databases.ts';
import { APP_DATABASE_CONNECTIONS_MAX } from '../../../../webhook/core/limits.ts';
import type { DatabaseName } from '../../../../webhook/core/names.ts';
import type { PreviewDatabase } from '../../../../webhook/core/preview.ts';
import type { AppDatabases } from '../../../../webhook/ports.ts';
import { silentLog } from '../../../support/silent-log.ts';
import { onServer } from '../../../support/on-server.ts';
import { openTestDatabase, type TestDatabase } from '../../../support/test-database.ts';

const ADDRESSES = { host: '10.100.0.2', instance: '10.100.0.3' };

/** Names of this run alone: the server may be shared. */
const run = randomBytes(3).toString('hex');
function tenant(number: number, password = `password${number}`.padEnd(24, 'x')): PreviewDatabase {
  return { name: `preview_${run}_${number}` as DatabaseName, password };
}

async function as<Result>(url: string, work: (client: Client) => Promise<Result>): Promise<Result> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

suite('AppDatabases', () => {
  let state: TestDatabase;
  let databases: AppDatabases & { close(): Promise<void> };
  const urlOf = (database: PreviewDatabase) => databases.urlOf(database, ADDRESSES);

  before(async () => {
    state = await openTestDatabase({ empty: true });
    const { hostname, port } = new URL(state.url);
    databases = await openAppDatabases({
      url: state.url,
      appHost: hostname,
      appPort: Number(port || 5432),
      log: silentLog,
    });
  });
  after(async () => {
    for (const name of await databases.list()) await databases.remove(name);
    await databases.close();
    await state[Symbol.asyncDispose]();
  });

  test('data stays when a database is ensured again, and the password is the last one given', async () => {
    const first = tenant(1);
    assert.equal(await databases.has(first.name), false);
    await databases.ensure(first);
    assert.equal(await databases.has(first.name), true);
    assert.match(urlOf(first), /^postgresql:\/\//, 'as SQLAlchemy wants it, and libpq takes both');
    await as(urlOf(first), (client) => client.query('create table kept (value text)'));
    const second = { ...first, password: 'another'.padEnd(24, 'y') };
    await databases.ensure(second);
    await databases.ensure(second);
    await assert.rejects(
      as(urlOf(first), async () => undefined),
      /password authentication failed/,
    );
    const { rows } = await as(urlOf(second), (client) => client.query('select count(*)::int from kept'));
    assert.deepEqual(rows, [{ count: 0 }]);
    await databases.remove(first.name);
  });

  test('what was cut off half-way is finished, and removed, by doing it again', async () => {
    const half = tenant(2);
    await databases.ensure(half);
    // As a kill between "create database" and "open it" leaves it.
    await onServer(state.url, `alter database ${half.name} allow_connections false`);
    assert.equal(await databases.has(half.name), false);
    await databases.ensure(half);
    await as(urlOf(half), (client) => client.query('select 1'));
    // As a kill between "drop database" and "drop role" leaves it.
    await onServer(state.url, `drop database ${half.name} with (force)`);
    assert.deepEqual(await databases.list(), [half.name]);
    await databases.remove(half.name);
    assert.deepEqual(await databases.list(), []);
    assert.deepEqual(await onServer(state.url, 'select from pg_roles where rolname = $1', [half.name]), []);
    await databases.remove(half.name);
  });

  test('a database goes while somebody is connected', async () => {
    const busy = tenant(3);
    await databases.ensure(busy);
    const client = new Client({ connectionString: urlOf(busy) });
    const ended = new Promise((resolve) => client.on('error', resolve));
    await client.connect();
    await databases.remove(busy.name);
    await ended;
    assert.equal(await databases.has(busy.name), false);
    assert.deepEqual(await onServer(state.url, 'select from pg_database where datname = $1', [busy.name]), []);
  });

  test('who holds more than it may is cut off and stays out, whatever it tries, until it fits again', async () => {
    const MIB = 1024 * 1024;
    const large = tenant(6);
    assert.equal(await databases.limitSize(large.name, MIB), null);
    await databases.ensure(large);
    const client = new Client({ connectionString: urlOf(large) });
    const ended = new Promise((resolve) => client.on('error', resolve));
    await client.connect();
    await client.query(`alter role ${large.name} set default_transaction_read_only = off`);
    await client.query(`alter database ${large.name} connection limit 1000`);
    const empty = await databases.limitSize(large.name, 64 * MIB);
    assert.ok(empty !== null && empty > MIB && empty < 64 * MIB, `${empty} bytes`);
    await client.query(
      'create table filler as select repeat(md5(n::text), 40) as text from generate_series(1, 8000) n',
    );

    const bytes = await databases.limitSize(large.name, empty + 4 * MIB);
    assert.ok(bytes !== null && bytes > empty + 8 * MIB, `${bytes} bytes`);
    await ended;
    assert.equal(await databases.has(large.name), false);
    // A push ensures it again; that does not open it.
    await databases.ensure(large);
    for (const _ of [1, 2])
      await assert.rejects(
        as(urlOf(large), async () => undefined),
        { code: '53300' },
      );

    assert.equal(await databases.limitSize(large.name, bytes), bytes);
    assert.equal(await databases.has(large.name), true);
    await as(urlOf(large), (again) => again.query('drop table filler'));
    const rows = await onServer(state.url, 'select rolconnlimit from pg_roles where rolname = $1', [large.name]);
    assert.deepEqual(rows, [{ rolconnlimit: APP_DATABASE_CONNECTIONS_MAX }]);
    await databases.remove(large.name);
    assert.equal(await databases.limitSize(large.name, MIB), null);
  });

  test('what others named like ours is neither listed nor changed nor removed', async () => {
    const foreign = tenant(4);
    await onServer(state.url, `create role ${foreign.name}`);
    await onServer(state.url, `create database ${foreign.name}`);
    try {
      assert.deepEqual(await databases.list(), []);
      assert.equal(await databases.limitSize(foreign.name, 1), null);
      await assert.rejects(databases.ensure(foreign), { code: 'DATABASE_FAILED', message: /not ours/ });
      await databases.remove(foreign.name);
      await onServer(state.url, `drop role ${foreign.name}`);
      await assert.rejects(databases.ensure(foreign), { code: 'DATABASE_FAILED', message: /not ours/ });
      await databases.remove(foreign.name);
      assert.equal((await onServer(state.url, 'select from pg_database where datname = $1', [foreign.name])).length, 1);
    } finally {
      await onServer(state.url, `drop database ${foreign.name}`);
    }
  });

  test('the password is not in any statement that the server could log', async () => {
    const secret = tenant(5, 'canary'.padEnd(24, 'Z'));
    await databases.ensure(secret);
    const rows = await onServer(state.url, 'select rolpassword from pg_authid where rolname = $1', [secret.name]);
    assert.match(String(rows[0]?.['rolpassword']), /^SCRAM-SHA-256\$/);
    const seen = await onServer(
      state.url,
      `select query from pg_stat_activity where query like '%' || $1 || '%' and pid <> pg_backend_pid()`,
      [secret.password],
    );
    assert.deepEqual(seen, []);
    await databases.remove(secret.name);
  });

  test('twenty tenants: nobody gets into another’s database, postgres, template1 or the operator’s (S11)', async (t) => {
    const tenants = Array.from({ length: 20 }, (_, index) => tenant(100 + index));
    await Promise.all(tenants.map((each) => databases.ensure(each)));
    const operators = new URL(state.url).pathname.slice(1);
    let tries = 0;
    const entered: string[] = [];
    for (const each of tenants) {
      const others = tenants.filter((other) => other !== each).map((other) => other.name as string);
      for (const target of [...others, 'postgres', 'template1', operators]) {
        const url = new URL(urlOf(each));
        url.pathname = `/${target}`;
        tries += 1;
        await as(url.href, async () => entered.push(`${each.name} → ${target}`)).catch(() => undefined);
      }
      assert.equal(await as(urlOf(each), async () => 'in'), 'in', 'the control: its own');
    }
    t.diagnostic(`cross access: ${entered.length} of ${tries}`);
    assert.equal(tries, 440);
    assert.deepEqual(entered, []);
    // pg_hba.conf alone would have kept them out; so would the rights alone.
    const rights = await onServer(
      state.url,
      `select rolname, datname from pg_roles, pg_database
       where rolname like $1 and rolname <> datname and datallowconn and has_database_privilege(rolname, datname, 'connect')
         and (datname like $1 or datname = any ($2))`,
      [`preview\\_${run}\\_%`, ['postgres', 'template1', operators]],
    );
    assert.deepEqual(rights, []);
    await Promise.all(tenants.map((each) => databases.remove(each.name)));
  });

  test('a tenant cannot rise above itself, nor take the connections of others', async () => {
    const [bad, good] = [tenant(200), tenant(201)];
    await databases.ensure(bad);
    await databases.ensure(good);
    const attempts = [
      'alter role current_user superuser',
      'alter role current_user connection limit 1000',
      'alter role current_user createdb',
      `alter role ${good.name} password 'x'`,
      `set role ${good.name}`,
      'set session authorization postgres',
      `grant ${good.name} to current_user`,
      'create extension dblink',
      'create extension postgres_fdw',
      `copy (select 1) to program 'true'`,
      `copy (select 1) to '/tmp/berth-escape'`,
      `select pg_read_file('/etc/passwd')`,
      `select pg_ls_dir('.')`,
      `select lo_import('/etc/passwd')`,
      'create database another',
      'create role another',
      'alter system set max_connections = 1',
      'select rolpassword from pg_authid',
      `select pg_terminate_backend(pid) from pg_stat_activity where usename <> current_user and usename is not null`,
      'checkpoint',
      `create tablespace mine location '/tmp'`,
      `alter database ${bad.name} connection limit 1000`,
    ];
    const succeeded: string[] = [];
    for (const attempt of attempts)
      await as(urlOf(bad), async (client) => {
        await client.query(attempt);
        succeeded.push(attempt);
      }).catch(() => undefined);
    // The owner may lift its database's own limit; the role's still holds, and the database is its own.
    assert.deepEqual(succeeded, [`alter database ${bad.name} connection limit 1000`]);

    const clients = Array.from({ length: 100 }, () => new Client({ connectionString: urlOf(bad) }));
    for (const client of clients) client.on('error', () => undefined);
    const outcomes = await Promise.allSettled(clients.map((client) => client.connect()));
    const connected = outcomes.filter((outcome) => outcome.status === 'fulfilled').length;
    assert.ok(connected <= APP_DATABASE_CONNECTIONS_MAX, `${connected} connections`);
    assert.equal(await as(urlOf(good), async () => 'in'), 'in');
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    await databases.remove(bad.name);
    await databases.remove(good.name);
  });
});
