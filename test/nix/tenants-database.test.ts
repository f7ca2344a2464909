import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Client } from 'pg';
import { openAppDatabases } from '../../webhook/adapters/postgres/app-databases.ts';
import { openIntakeState } from '../../webhook/adapters/postgres/intake-state.ts';
import { migrate } from '../../webhook/adapters/postgres/migrate.ts';
import { SEEDS_ROLE } from '../../webhook/adapters/postgres/seed-templates.ts';
import { APP_DATABASE_CONNECTIONS_MAX } from '../../webhook/core/limits.ts';
import { parseDatabaseName, templateNameOf } from '../../webhook/core/names.ts';
import { parseRepositoryName } from '../../webhook/core/pull-request.ts';
import { aLog } from '../support/a-gateway.ts';
import { serverPrograms, startRenderedPostgres, type RenderedPostgres } from './support/rendered-postgres.ts';

/**
 * Promise S11 on the configuration that a host renders: a preview's role sees its own database only and cannot take the
 * others' connections. Roles and databases are made by the operator's own adapter, logged in as a host's operator is.
 */
const aDatabase = (n: number) => {
  const name = parseDatabaseName(`preview_shop_${n}`);
  assert.ok(name);
  return name;
};
const tenants = Array.from({ length: 20 }, (_, n) => aDatabase(n + 1));

const found = serverPrograms();
if (found.length === 0) {
  test('S11 on the rendered configuration', {
    skip: 'needs PostgreSQL: apt-get install postgresql, or npm ci with optional packages',
  });
}
for (const programs of found)
  describe(`tenants of the rendered PostgreSQL, run by ${programs}`, () => tenantTests(programs));

function tenantTests(programs: string): void {
  let postgres: RenderedPostgres;
  let databases: Awaited<ReturnType<typeof openAppDatabases>>;
  before(async () => {
    postgres = await startRenderedPostgres(programs);
    databases = await openAppDatabases({ url: postgres.operatorUrl, appHost: null, appPort: 5432, log: aLog() });
    for (const name of tenants) await databases.ensure({ name, password: passwordOf(name) });
  });
  after(async () => {
    await databases.close();
    await postgres[Symbol.asyncDispose]();
  });

  const as = (user: string, database = user) => postgres.tcp({ user, database, password: passwordOf(user) });

  test('each reaches its own database with its password', async () => {
    for (const name of tenants) {
      await usingClient(as(name), async (client) => {
        await client.query('CREATE TABLE notes (text text)');
        await client.query(`INSERT INTO notes VALUES ('hello')`);
      });
    }
  });

  test('none reaches another’s, PostgreSQL’s own or the operator’s: 0 of 460', async (t) => {
    const reached: string[] = [];
    let tried = 0;
    for (const user of tenants) {
      for (const database of [...tenants, 'postgres', 'template1', 'template0', 'berth']) {
        if (database === user) continue;
        tried += 1;
        if (await canConnect(as(user, database))) reached.push(`${user} -> ${database}`);
      }
    }
    t.diagnostic(`${reached.length} of ${tried} reached`);
    assert.deepEqual(reached, []);
    assert.equal(tried, 460);
  });

  test('a wrong password, none, and a superuser’s name get nowhere', async () => {
    const [user = ''] = tenants;
    assert.equal(await canConnect(postgres.tcp({ user, database: user, password: 'wrong' })), false);
    assert.equal(await canConnect(postgres.tcp({ user, database: user })), false);
    for (const name of ['postgres', 'berth', 'berth_web', 'berth_tenants']) {
      assert.equal(
        await canConnect(postgres.tcp({ user: name, database: name, password: passwordOf(name) })),
        false,
        name,
      );
    }
  });

  test('a login from outside the containers’ range is refused whatever its password', async () => {
    const [user = ''] = tenants;
    const client = postgres.tcp({ user, database: user, password: passwordOf(user), from: '127.0.0.1' });
    await assert.rejects(client.connect(), /pg_hba\.conf rejects connection/);
  });

  test('a seed is loaded over the unix socket and copied by an operator that is no superuser', async () => {
    const user = aDatabase(99);
    const template = templateNameOf(7, 'a'.repeat(64));
    const text = `
      create schema shop; create table shop.articles as select 'kettle' as name; create table public.notes ();
      create function shop.count() returns bigint language sql as 'select count(*) from shop.articles';
      create function public.whose() returns name language sql security definer as 'select current_user';
      alter default privileges grant select on tables to public; create extension pgcrypto`;
    const signal = new AbortController().signal;
    const seed = { template, path: 'seed.sql', read: async () => text, maxBytes: 2 ** 30, signal };
    await databases.ensure({ name: user, password: passwordOf(user) }, seed);
    await usingClient(as(user), async (client) => {
      const { rows } = await client.query('select shop.count()::int, whose()');
      assert.deepEqual(rows, [{ count: 1, whose: user }]);
      await client.query('drop schema shop cascade; drop table notes; drop function whose(); drop extension pgcrypto');
    });
    assert.equal(await canConnect(as(user, template)), false);
    const stubborn = `create table t (); reassign owned by current_user to ${SEEDS_ROLE}; select 1/0`;
    const refused = { ...seed, template: templateNameOf(7, 'b'.repeat(64)), read: async () => stubborn };
    await assert.rejects(databases.ensure({ name: aDatabase(98), password: 'x' }, refused), { code: 'SEED_FAILED' });
    assert.deepEqual(await databases.listTemplates(), [template]);
    await databases.removeTemplate(template);
    assert.deepEqual(await databases.listTemplates(), []);
    await databases.remove(aDatabase(98));
    await databases.remove(user);
  });

  test('over the unix socket no tenant gets in, and nobody becomes the superuser', async () => {
    const [user = ''] = tenants;
    const password = passwordOf(user);
    assert.equal(await canConnect(postgres.local({ user, database: user, password })), false);
    assert.equal(await canConnect(postgres.local({ user: 'postgres', database: 'postgres' })), false);
  });

  test('one that takes all connections it can leaves the others alone', async () => {
    const [greedy = '', other = ''] = tenants;
    const held: Client[] = [];
    let refused = 0;
    try {
      for (let n = 0; n < 100; n += 1) {
        const client = as(greedy);
        client.on('error', () => undefined);
        await client.connect().then(
          () => held.push(client),
          () => (refused += 1),
        );
      }
      assert.equal(held.length, APP_DATABASE_CONNECTIONS_MAX);
      assert.equal(refused, 100 - APP_DATABASE_CONNECTIONS_MAX);
      assert.equal(await canConnect(as(other)), true);
    } finally {
      await Promise.all(held.map((client) => client.end()));
    }
  });

  test('nothing that a tenant may say gives it more', async (t) => {
    const [user = ''] = tenants;
    const attempts = [
      `ALTER ROLE ${user} SUPERUSER`,
      `ALTER ROLE ${user} CONNECTION LIMIT -1`,
      `ALTER ROLE ${user} CREATEDB`,
      'SET ROLE berth',
      'SET ROLE postgres',
      'SET SESSION AUTHORIZATION berth',
      `GRANT pg_read_server_files TO ${user}`,
      'GRANT berth TO berth_tenants',
      'CREATE EXTENSION dblink',
      'CREATE EXTENSION postgres_fdw',
      'CREATE EXTENSION file_fdw',
      `COPY (SELECT 1) TO PROGRAM 'id'`,
      `COPY (SELECT 1) TO '/tmp/berth-s11'`,
      `SELECT pg_read_file('/etc/passwd')`,
      `SELECT pg_ls_dir('/')`,
      `SELECT lo_import('/etc/passwd')`,
      'SELECT rolpassword FROM pg_authid',
      `SET temp_file_limit = '-1'`,
      `ALTER SYSTEM SET listen_addresses = '*'`,
      'SELECT pg_reload_conf()',
      'CREATE DATABASE more',
      'CREATE ROLE more',
      `DROP DATABASE ${tenants[1]}`,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'berth'`,
    ];
    const succeeded: string[] = [];
    await usingClient(postgres.local({ user: 'berth', database: 'berth' }), async () => {
      await usingClient(as(user), async (client) => {
        for (const sql of attempts) {
          await client.query(sql).then(
            () => succeeded.push(sql),
            () => undefined,
          );
        }
        // Refused one by one, not all of them by a connection that was gone.
        assert.equal((await client.query('select 1')).rowCount, 1);
      });
    });
    t.diagnostic(`${succeeded.length} of ${attempts.length} succeeded`);
    assert.deepEqual(succeeded, []);
  });

  test('the web hands in deliveries over the socket, and gets nowhere else', async () => {
    await assert.rejects(openIntakeState(postgres.webUrl, aLog()), { code: 'STATE_UNAVAILABLE' });
    await migrate(postgres.operatorUrl, aLog());
    const web = await openIntakeState(postgres.webUrl, aLog());
    try {
      const key = { repositoryId: 1, subject: { kind: 'pull', number: 2 } } as const;
      const repository = parseRepositoryName('acme/shop');
      assert.ok(repository);
      assert.equal(await web.intake.accept(randomUUID(), { key, repository, action: 'opened' }), 'accepted');
    } finally {
      await web.close();
    }
    for (const database of ['postgres', 'template1', tenants[0] ?? ''])
      assert.equal(await canConnect(postgres.local({ user: 'berth_web', database })), false, database);
    await usingClient(postgres.local({ user: 'berth_web', database: 'berth' }), async (client) => {
      const refused = { code: '42501' };
      await assert.rejects(client.query('select from berth.previews'), refused);
      await assert.rejects(client.query('delete from berth.deliveries'), refused);
      await assert.rejects(client.query('create temporary table t (a int)'), refused);
      await assert.rejects(client.query('set role berth'), refused);
    });
  });

  test('the operator can close a database that is too large, and open it again', async () => {
    const [user = aDatabase(0)] = tenants;
    const connected = as(user);
    const ended = new Promise((resolve) => connected.on('error', resolve));
    await connected.connect();
    assert.ok(((await databases.limitSize(user, 1)) ?? 0) > 1);
    await ended;
    assert.equal(await canConnect(as(user)), false);
    await databases.limitSize(user, Number.MAX_SAFE_INTEGER);
    assert.equal(await canConnect(as(user)), true);
  });

  test('the operator can take a tenant away again, while it is connected', async () => {
    const user = tenants.at(-1) ?? aDatabase(0);
    const connected = as(user);
    connected.on('error', () => undefined);
    await connected.connect();
    await databases.remove(user);
    assert.equal(await canConnect(as(user)), false);
    await connected.end().catch(() => undefined);
  });

  test('nor is it kept from that by what another gave it or keeps locked', async () => {
    const [user = aDatabase(0), other = aDatabase(0), third = aDatabase(0)] = tenants;
    await usingClient(as(other), async (client) => {
      await client.query(`CREATE TABLE given (a int); GRANT SELECT ON given TO ${user}`);
      await client.query(`GRANT CONNECT ON DATABASE ${other} TO ${third} WITH GRANT OPTION`);
    });
    await usingClient(as(third), async (client) => {
      await client.query(`GRANT CONNECT ON DATABASE ${other} TO ${user}`);
    });
    const holding = as(other);
    const ended = new Promise((resolve) => holding.on('error', resolve));
    await holding.connect();
    await holding.query(`BEGIN; ALTER ROLE ${other} IN DATABASE ${user} SET work_mem = '1MB'`);
    await databases.remove(user);
    await ended;
    assert.equal((await databases.list()).includes(user), false);
    const gone = async () => {
      let found: unknown[] = [];
      await usingClient(postgres.local({ user: 'berth', database: 'berth' }), async (client) => {
        found = (await client.query(`SELECT FROM pg_roles WHERE rolname LIKE 'berth\\_gone\\_%'`)).rows;
      });
      return found.length;
    };
    assert.equal(await gone(), 1);
    await databases.remove(other);
    assert.equal(await gone(), 0);
  });
}

const passwordOf = (user: string) => `of-${user}`;

async function usingClient(client: Client, use: (client: Client) => Promise<void>): Promise<void> {
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

async function canConnect(client: Client): Promise<boolean> {
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
