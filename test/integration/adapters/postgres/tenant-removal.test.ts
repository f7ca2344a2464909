/** No tenant keeps another from going: neither by rights that it gives it, nor by transactions that it leaves open. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, before, after, suite, test } from 'node:test';
import { Client } from 'pg';
import { openAppDatabases } from '../../../../webhook/adapters/postgres/app-databases.ts';
import { templateNameOf, type DatabaseName } from '../../../../webhook/core/names.ts';
import type { PreviewDatabase } from '../../../../webhook/core/preview.ts';
import { silentLog } from '../../../support/silent-log.ts';
import { onServer } from '../../../support/on-server.ts';
import { openTestDatabase, type TestDatabase } from '../../../support/test-database.ts';

/** Names of this run alone: the server may be shared. */
const run = randomBytes(3).toString('hex');
let last = 0;
function aTenant(): PreviewDatabase {
  last += 1;
  return { name: `preview_${run}_${last}` as DatabaseName, password: 'password'.padEnd(24, 'x') };
}

suite('a tenant that others speak of', () => {
  let state: TestDatabase;
  let databases: Awaited<ReturnType<typeof open>>;

  const open = () => {
    const { hostname, port } = new URL(state.url);
    return openAppDatabases({ url: state.url, appHost: hostname, appPort: Number(port || 5432), log: silentLog });
  };
  before(async () => {
    state = await openTestDatabase({ empty: true });
    databases = await open();
  });
  afterEach(async () => {
    for (const name of await databases.list()) await databases.remove(name);
    for (const name of await databases.listTemplates()) await databases.removeTemplate(name);
    assert.deepEqual(await gone(), []);
    assert.deepEqual(await named(`preview_${run}_`), []);
  });
  after(async () => {
    await databases.close();
    await state[Symbol.asyncDispose]();
  });

  const three = async () => {
    const tenants = [aTenant(), aTenant(), aTenant()] as const;
    for (const each of tenants) await databases.ensure(each);
    return tenants;
  };
  const urlOf = (tenant: PreviewDatabase) => databases.urlOf(tenant, { host: '', instance: '' });
  const as = (tenant: PreviewDatabase, text: string) => onServer(urlOf(tenant), text);
  /** Roles and databases whose names begin like this. */
  const named = async (prefix: string) => {
    const text = `select rolname as name from pg_roles where starts_with(rolname, $1)
      union all select datname from pg_database where starts_with(datname, $1)`;
    return (await onServer(state.url, text, [prefix])).map(({ name }) => name);
  };
  /** Of this operator alone: others may have their own on the same server. */
  const gone = async () => {
    const text = `select rolname as name from pg_roles
      where starts_with(rolname, 'berth_gone_') and shobj_description(oid, 'pg_authid') like '%database ' || current_database() || '%'`;
    return (await onServer(state.url, text)).map(({ name }) => name);
  };

  const rights: Readonly<Record<string, (one: string, other: string) => string>> = {
    'a right': (one) => `create table t (a int); grant select on t to ${one}`,
    'rights to come': (one) => `alter default privileges grant select on tables to ${one}`,
    'a right on its database': (one, other) => `grant connect on database ${other} to ${one} with grant option`,
    'a rule': (one) => `create table t (a int); create policy p on t to ${one} using (true)`,
  };
  for (const [what, text] of Object.entries(rights))
    test(`goes when another gave it ${what}, and so does the rest of it when the other goes`, async () => {
      const [one, other] = await three();
      await as(other, text(one.name, other.name));
      await databases.remove(one.name);
      assert.equal((await databases.list()).includes(one.name), false);
      assert.deepEqual(await named(one.name), []);
      assert.equal((await gone()).length, 1, 'the control: it could not be dropped');
      await databases.remove(one.name);
      await databases.remove(other.name);
      assert.deepEqual(await gone(), []);
    });

  test('goes when a third passed a right on to it, which the owner could not take back alone', async () => {
    const [one, other, third] = await three();
    await as(other, `grant connect on database ${other.name} to ${third.name} with grant option`);
    await as(third, `grant connect on database ${other.name} to ${one.name}`);
    await databases.remove(one.name);
    await databases.remove(third.name);
    assert.deepEqual(await databases.list(), [other.name]);
    assert.equal((await gone()).length, 2);
  });

  test('comes again as somebody else: what others gave it before is not its own', async () => {
    const [one, other] = await three();
    await as(other, `create table t (a int); grant select on t to ${one.name}`);
    await databases.remove(one.name);
    await databases.ensure(one);
    await as(one, 'create table mine (a int)');
    const holds = `select has_table_privilege($1, 't', 'select') as holds`;
    assert.deepEqual(await onServer(urlOf(other), holds, [one.name]), [{ holds: false }]);
    const [role] = await gone();
    const [row] = await onServer(state.url, 'select rolcanlogin from pg_roles where rolname = $1', [role]);
    assert.deepEqual(row, { rolcanlogin: false });
  });

  test('goes while another is about to give it a right', async () => {
    const [one, other] = await three();
    const client = await session(urlOf(other));
    try {
      await client.query(`begin; create table t (a int); grant select on t to ${one.name}`);
      await databases.remove(one.name);
      assert.deepEqual(await named(one.name), []);
      await client.query('commit');
      assert.equal((await gone()).length, 1);
    } finally {
      await client.end();
    }
  });

  test('goes while others hold its database locked from theirs, and those are cut off', async () => {
    const [one, ...others] = await three();
    const clients = await Promise.all(others.map((other) => session(urlOf(other))));
    const ended = clients.map((client) => new Promise<void>((resolve) => client.on('end', () => resolve())));
    for (const client of clients)
      await client.query(`begin; alter role current_user in database ${one.name} set work_mem = '1MB'`);
    await databases.remove(one.name);
    await Promise.all(ended);
    assert.deepEqual(await named(one.name), []);
  });

  test('is looked for by the next operator when the one that removed the other was killed before it looked', async () => {
    const [one, other] = await three();
    await as(other, `create table t (a int); grant select on t to ${one.name}`);
    await databases.remove(one.name);
    // As a kill right after the end of the other's database leaves it.
    await onServer(state.url, `drop database ${other.name}`);
    assert.equal((await gone()).length, 1);
    const next = await open();
    await next.close();
    assert.deepEqual(await gone(), []);
  });

  test('goes though a seed, its template and the copies of that speak of it', async () => {
    const [one, other] = [aTenant(), aTenant()];
    await databases.ensure(one);
    const template = templateNameOf(Math.ceil(Math.random() * 2 ** 30), 'a'.repeat(64));
    const text = `create table t (a int); grant select on t to ${one.name}; alter default privileges grant select on tables to ${one.name}`;
    const signal = new AbortController().signal;
    const seed = { template, path: 'seed.sql', read: async () => text, maxBytes: 2 ** 30, signal };
    await databases.ensure(other, seed);
    await databases.remove(one.name);
    assert.deepEqual(await databases.list(), [other.name]);
    await databases.remove(other.name);
    assert.equal((await gone()).length, 1, 'the template is left');
  });
});

async function session(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
