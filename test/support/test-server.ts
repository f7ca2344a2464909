/** A real PostgreSQL for tests, which starts in under a second and leaves nothing behind. */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import { silentLog } from './silent-log.ts';

export interface TestServer {
  /** As superuser, or whoever may create databases and roles. */
  readonly url: string;
  /** Stops it, does what is given, and starts it again on the same port. */
  restart(meanwhile: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** A server that several test processes may share: give its url to them as TEST_DATABASE_URL. Flushes nothing to the disk unless it is to be `durable`. */
export async function startTestServer({ durable = false } = {}): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'berth-test-postgres-'));
  // As root the server runs as another user, who has to get in.
  await chmod(directory, 0o711);
  const start = () => startEmbeddedPostgres({ directory, log: silentLog, durable });
  let server: EmbeddedPostgres = await start();
  // Also when we are killed: its input ends with us, and it cleans up.
  const script = new URL('./remove-test-server.ts', import.meta.url).pathname;
  const remover = spawn(process.execPath, [script, directory], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  remover.unref();
  (remover.stdin as Socket).unref();
  return {
    url: server.url,
    async restart(meanwhile) {
      await server.stop();
      await meanwhile();
      server = await start();
    },
    async stop() {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
