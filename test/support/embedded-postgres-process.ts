/** A process that starts the embedded PostgreSQL and stays, for tests that kill it. Argument: directory. Says its url. */
import { startEmbeddedPostgres } from '../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import { silentLog } from './silent-log.ts';

const server = await startEmbeddedPostgres({ directory: process.argv[2] ?? '', log: silentLog, durable: false });
process.stdout.write(`${server.url}\n`);
setInterval(() => undefined, 60_000);
