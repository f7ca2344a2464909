/**
 * One operator per database, and only that of the host whose it is: slots, jobs and instances of two would be mixed, and each would remove what it does
 * not know from its own directory. The lock is on the liveness connection, so it is PostgreSQL that frees it when we die.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type ClientBase, type Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import type { Log } from '../../ports.ts';
import { connectionConfig, rowsOf, stateError } from './connections.ts';

/** One whose machine has gone is found out by then (DEAD_PEER_SETTINGS in liveness.ts). */
export const OTHER_ENDS_WITHIN_MS = 20_000;

/** How often a lock is tried that somebody has. */
const TRY_EVERY_MS = 100;

const LOCK = `hashtext('berth.operator'), 0`;

/**
 * Makes this connection the one of the only operator. One that was killed a moment ago may still be connected, so there is patience.
 * Throws OPERATOR_ALREADY_RUNNING when it is over.
 */
export async function takeOperatorLock(client: ClientBase, patienceMs: number, log: Log): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (let tries = 1; ; tries += 1) {
    const [row] = await rowsOf<{ taken: boolean }>(client, `select pg_try_advisory_lock(${LOCK}) as taken`);
    if (row?.taken === true) return;
    if (Date.now() >= deadline)
      throw new OperatorError('OPERATOR_ALREADY_RUNNING', 'Another operator works with this database already.', {
        hint: 'Stop the other one, or give this one a database of its own (DATABASE_URL, `state.database_url`).',
      });
    if (tries === 1) log.warn({ patienceMs }, 'another operator is connected to this database; waiting for it to end');
    await delay(TRY_EVERY_MS);
  }
}

/**
 * Resolves when no other operator works with the database and it is not that of another host. Changes nothing. Throws OPERATOR_ALREADY_RUNNING,
 * STATE_OF_ANOTHER_HOST or STATE_UNAVAILABLE.
 */
export async function waitForDatabase(
  url: string,
  sole: { hostId: string | null; patienceMs: number },
  log: Log,
): Promise<void> {
  const client = new Client(connectionConfig(url, 'berth start'));
  client.on('error', (error) => log.warn({ err: error }, 'a connection to PostgreSQL broke'));
  try {
    await client.connect();
    await takeOperatorLock(client, sole.patienceMs, log);
    if (sole.hostId !== null) await refuseDatabaseOfAnother(client, sole.hostId);
  } catch (error) {
    throw stateError(error);
  } finally {
    await client.end();
  }
}

/**
 * The host that the database belongs to: from now on this one, if it was nobody's. `hostId` is what this host calls itself; null for one that has no state
 * yet: it takes the database over with all that is in it, under a new id, so that whose it was is refused from then on. Throws STATE_OF_ANOTHER_HOST.
 */
export async function claimDatabase(pool: Pool, hostId: string | null): Promise<string> {
  const id = hostId ?? randomUUID();
  const isTaken = hostId === null ? 'update set host_id = excluded.host_id, since = now()' : 'nothing';
  await rowsOf(pool, `insert into berth.owner (host_id) values ($1) on conflict (only_one) do ${isTaken}`, [id]);
  refuseOther(await rowsOf(pool, 'select host_id from berth.owner'), id);
  return id;
}

function refuseOther([row]: { host_id: string }[], hostId: string): void {
  if (row === undefined || row.host_id === hostId) return;
  const message = `The database belongs to the host ${row.host_id}, and this one is ${hostId}.`;
  throw new OperatorError('STATE_OF_ANOTHER_HOST', message);
}

/** Before the schema is changed: of a database that has an owner. */
async function refuseDatabaseOfAnother(client: ClientBase, hostId: string): Promise<void> {
  const [table] = await rowsOf<{ exists: boolean }>(client, `select to_regclass('berth.owner') is not null as exists`);
  if (table?.exists === true) refuseOther(await rowsOf(client, 'select host_id from berth.owner'), hostId);
}
