import { openState, type State, type StateOptions } from '../../webhook/adapters/postgres/state.ts';
import { parsePool, type AddressPool } from '../../webhook/core/slots.ts';
import { silentLog } from './silent-log.ts';
import { onServer } from './on-server.ts';
import { openTestDatabase, type TestDatabase } from './test-database.ts';

export interface TestState extends State, AsyncDisposable {
  readonly url: string;
  /** Jobs that nobody has taken, as `<task>:<key>`, by name. */
  waitingJobs(): Promise<{ name: string; runAt: Date }[]>;
}

function testPool(cidr = '10.100.0.0/16'): AddressPool {
  const pool = parsePool(cidr);
  if (pool === null) throw new Error(`not a pool: ${cidr}`);
  return pool;
}

/** The real state on a database of its own; both are gone when disposed of. */
export async function openTestState(
  options: Partial<StateOptions> & { database?: TestDatabase } = {},
): Promise<TestState> {
  const database = options.database ?? (await openTestDatabase());
  const state = await openState({ pool: testPool(), log: silentLog, ...options, url: database.url });
  const workers: { stop(): Promise<void> }[] = [];
  return {
    ...state,
    worker: {
      async start(handlers, limits) {
        const worker = await state.worker.start(handlers, limits);
        workers.push(worker);
        return worker;
      },
    },
    url: database.url,
    async waitingJobs() {
      const rows = await onServer(
        database.url,
        'select key, run_at from graphile_worker.jobs where locked_at is null and key is not null order by key',
      );
      return rows.map((row) => ({ name: row['key'] as string, runAt: row['run_at'] as Date }));
    },
    async [Symbol.asyncDispose]() {
      // Also when the test failed before it did so.
      await Promise.all(workers.map((worker) => worker.stop()));
      await state.close();
      // Who brought the database takes care of it.
      if (options.database === undefined) await database[Symbol.asyncDispose]();
    },
  };
}
