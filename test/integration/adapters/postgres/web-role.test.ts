/** What the role of the process that the Internet reaches may do in PostgreSQL: hand in deliveries, and nothing else. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { suite, test } from 'node:test';
import { openIntakeState } from '../../../../webhook/adapters/postgres/intake-state.ts';
import { OperatorError } from '../../../../webhook/core/errors.ts';
import type { PullRequestEvent, RepositoryName } from '../../../../webhook/core/pull-request.ts';
import { pullKey } from '../../../contracts/store-under-test.ts';
import { aWebRole } from '../../../support/a-web-role.ts';
import { silentLog } from '../../../support/silent-log.ts';
import { onServer } from '../../../support/on-server.ts';
import { openTestDatabase } from '../../../support/test-database.ts';
import { openTestState } from '../../../support/test-state.ts';

const EVENT: PullRequestEvent = {
  key: pullKey(7),
  repository: 'acme/shop' as RepositoryName,
  action: 'opened',
};

/** What PostgreSQL says to a statement: null when it did it, else the SQLSTATE. */
async function refusalOf(url: string, statement: string): Promise<string | null> {
  try {
    await onServer(url, statement);
    return null;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

const NO_RIGHT = '42501';

suite('The web’s role', () => {
  test('hands in deliveries durably, each once, with the job for it', async () => {
    await using state = await openTestState();
    await using web = await aWebRole(state.url);
    const { intake, isReady, close } = await openIntakeState(web.url, silentLog);
    try {
      assert.equal(await isReady(), true);
      const id = randomUUID();
      assert.equal(await intake.accept(id, EVENT), 'accepted');
      assert.equal(await intake.accept(id, EVENT), 'duplicate');
      assert.equal(await state.store.generation(EVENT.key), 1);
      assert.deepEqual(
        (await state.waitingJobs()).map(({ name }) => name),
        ['reconcile:81/pull/7'],
      );
      assert.equal(await intake.doubtComment(EVENT.key, 1), false);
      // The operator's worker is told at once: nothing waits for it to look by itself.
      const [durable] = await onServer(web.url, 'show synchronous_commit');
      assert.equal(durable?.['synchronous_commit'], 'on');
    } finally {
      await close();
    }
  });

  test('reads and writes no table, view or sequence of ours', async () => {
    await using state = await openTestState();
    await using web = await aWebRole(state.url);
    await state.intake.accept(randomUUID(), EVENT);
    const namesOf = async (kinds: string) =>
      (
        await onServer(
          state.url,
          `select format('%I.%I', nspname, relname) as name from pg_class join pg_namespace on pg_namespace.oid = relnamespace
           where nspname in ('berth', 'graphile_worker') and relkind = any ($1) order by 1`,
          [kinds.split('')],
        )
      ).map(({ name }) => String(name));
    const tables = await namesOf('rpvm');
    for (const known of ['berth.deliveries', 'berth.previews', 'graphile_worker._private_jobs'])
      assert.ok(tables.includes(known), known);
    // `where false` touches nothing, but needs the right all the same.
    const statements = [
      ...tables.flatMap((name) => [
        `select from ${name} where false`,
        `delete from ${name} where false`,
        `insert into ${name} select from ${name} where false`,
        `truncate ${name}`,
        `drop table ${name}`,
      ]),
      ...(await namesOf('S')).flatMap((name) => [`select from ${name}`, `select nextval('${name}')`]),
    ];
    const did: string[] = [];
    for (const statement of statements) {
      const refusal = await refusalOf(web.url, statement);
      if (refusal !== NO_RIGHT) did.push(`${statement}: ${refusal}`);
    }
    assert.deepEqual(did, []);
    assert.equal(await refusalOf(web.url, `update berth.deliveries set action = 'closed'`), NO_RIGHT);
    assert.equal(await refusalOf(web.url, 'select database_password from berth.previews'), NO_RIGHT);
  });

  test('calls two functions of ours, and no other', async () => {
    await using state = await openTestState();
    await using web = await aWebRole(state.url);
    const callable = await onServer(
      web.url,
      `select proname as name from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
       where nspname in ('berth', 'graphile_worker')
         and has_schema_privilege(nspname, 'usage') and has_function_privilege(pg_proc.oid, 'execute') order by 1`,
    );
    assert.deepEqual(
      callable.map(({ name }) => name),
      ['accept_deliveries', 'doubt_comment'],
    );
    const definer = await onServer(
      state.url,
      `select proname as name, proconfig as config from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
       where nspname = 'berth' and prosecdef order by 1`,
    );
    // Whoever runs with another's rights must not find a caller's objects by an unqualified name.
    assert.deepEqual(
      definer.map(({ name, config }) => [name, config]),
      ['accept_deliveries', 'doubt_comment'].map((name) => [name, ['search_path=pg_catalog, pg_temp']]),
    );
  });

  test('becomes nobody else, makes nothing, and reaches neither files nor programs', async () => {
    await using state = await openTestState();
    await using web = await aWebRole(state.url);
    const owner = new URL(state.url).username;
    for (const statement of [
      `set role "${owner}"`,
      'create role more login',
      'create database more',
      'create schema more',
      'create table berth.more (a int)',
      'create table public.more (a int)',
      `create function berth.more() returns int language sql as 'select 1'`,
      `copy (select 1) to program 'true'`,
      `select pg_read_file('/etc/passwd')`,
      'create or replace function berth.accept_deliveries() returns int language sql as $$ select 1 $$',
      'alter function berth.doubt_comment(text, bigint, interval) security invoker',
      'grant select on berth.previews to public',
    ])
      assert.equal(await refusalOf(web.url, statement), NO_RIGHT, statement);
  });

  test('waits for an operator that has made the schema', async () => {
    await using database = await openTestDatabase({ empty: true });
    // Of the server there is a role already: another database of it is migrated.
    await using other = await openTestState();
    await using web = await aWebRole(other.url);
    const url = new URL(web.url);
    url.pathname = new URL(database.url).pathname;
    await assert.rejects(
      openIntakeState(url.href, silentLog),
      (error) =>
        error instanceof OperatorError && error.code === 'STATE_UNAVAILABLE' && /operator makes it/.test(error.message),
    );
  });
});
