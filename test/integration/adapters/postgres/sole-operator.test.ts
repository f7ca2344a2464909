/** One operator per database, only that of its own host, and only with room for what is in it. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { suite, test } from 'node:test';
import { Client } from 'pg';
import type { StateOptions } from '../../../../webhook/adapters/postgres/state.ts';
import { parsePool } from '../../../../webhook/core/slots.ts';
import type { Log } from '../../../../webhook/ports.ts';
import { aWebRole } from '../../../support/a-web-role.ts';
import { onServer } from '../../../support/on-server.ts';
import { silentLog } from '../../../support/silent-log.ts';
import { openTestDatabase } from '../../../support/test-database.ts';
import { openTestState } from '../../../support/test-state.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const sole = (hostId: string | null = null, patienceMs = 0): Pick<StateOptions, 'sole'> => ({
  sole: { hostId, patienceMs },
});

suite('the only operator of a database', () => {
  test('a second one is refused while the first is there, and is let in when it has gone', async () => {
    await using database = await openTestDatabase();
    const first = await openTestState({ database, ...sole() });
    await assert.rejects(openTestState({ database, ...sole() }), { code: 'OPERATOR_ALREADY_RUNNING' });
    assert.ok(await first.isReady());

    const waiting = Promise.withResolvers<void>();
    const log: Log = { ...silentLog, warn: () => waiting.resolve() };
    const second = openTestState({ database, log, ...sole(null, 60_000) });
    await waiting.promise;
    await first[Symbol.asyncDispose]();
    await (await second)[Symbol.asyncDispose]();
  });

  test('one that lost its connection does not come back beside another, but after it', async () => {
    await using database = await openTestDatabase();
    const kept = Promise.withResolvers<void>();
    const log: Log = { ...silentLog, debug: (_fields, message) => /another operator/.test(message) && kept.resolve() };
    await using first = await openTestState({ database, log, ...sole() });
    const other = new Client({ connectionString: database.url });
    await other.connect();
    // Next in line for the lock, and gets it when the first one's connection goes.
    const taken = other.query(`select pg_advisory_lock(hashtext('berth.operator'), 0)`);
    await onServer(
      database.url,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'berth liveness'`,
    );
    await taken;
    await kept.promise;
    assert.equal(await first.isReady(), false);
    await other.end();
    await waitUntil('the first to be ready again', () => first.isReady());
  });

  test('a database has one host; one without a state of its own takes it over, another one is refused', async () => {
    await using database = await openTestDatabase();
    const hosts: (string | null)[] = [];
    for (const given of [null, null]) {
      await using state = await openTestState({ database, ...sole(given) });
      hosts.push(state.hostId);
    }
    const [before, owner] = hosts;
    assert.ok(before != null && owner != null && before !== owner);
    await (await openTestState({ database, ...sole(owner) }))[Symbol.asyncDispose]();
    // Also the one whose it was.
    for (const other of [before, randomUUID()])
      await assert.rejects(openTestState({ database, ...sole(other) }), {
        code: 'STATE_OF_ANOTHER_HOST',
        message: new RegExp(`belongs to the host ${owner}`),
      });
    // A database that is nobody's becomes that of the host that comes.
    await onServer(database.url, 'delete from berth.owner');
    const mine = randomUUID();
    await using state = await openTestState({ database, ...sole(mine) });
    assert.equal(state.hostId, mine);
  });

  test('a range of addresses that is too small for the slots in use is refused, and names one', async () => {
    await using database = await openTestDatabase();
    await onServer(database.url, `insert into berth.slot_counters (host) values ('local')`);
    await onServer(database.url, `insert into berth.slots (host, slot, purpose) values ('local', 31, 'agent')`);
    const pool = parsePool('10.100.0.0/26');
    assert.ok(pool !== null);
    await assert.rejects(openTestState({ database, pool }), {
      code: 'CONFIG_INVALID',
      message: 'runtime.pool: 10.100.0.0/26 has 30 slots, and slot 31 is in use.',
    });
    await (await openTestState({ database }))[Symbol.asyncDispose]();
  });
});

suite('a PostgreSQL that does not let us in', () => {
  const cases: { name: string; change: (url: URL) => void; said: RegExp }[] = [
    { name: 'a wrong password', change: (url) => (url.password = 'wrong'), said: /password authentication failed/ },
    { name: 'a database that is not there', change: (url) => (url.pathname = '/none'), said: /"none" does not exist/ },
  ];
  for (const { name, change, said } of cases) {
    test(`${name} is told as PostgreSQL says it, with the way out`, async () => {
      await using database = await openTestDatabase();
      const url = new URL(database.url);
      change(url);
      const refused = { code: 'STATE_UNAVAILABLE', message: said, hint: /DATABASE_URL/ };
      await assert.rejects(openTestState({ database: { ...database, url: url.href }, ...sole() }), refused);
    });
  }

  test('a role that may not prepare the database is refused', async () => {
    await using database = await openTestDatabase({ empty: true });
    await using role = await aWebRole(database.url);
    await assert.rejects(openTestState({ database: { ...database, url: role.url } }), {
      code: 'CONFIG_INVALID',
      message: /state\.database_url: its role may not prepare the database: permission denied/,
    });
  });
});
