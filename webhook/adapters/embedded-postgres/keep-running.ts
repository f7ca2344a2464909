/** Starts the embedded PostgreSQL again when it ends and nobody asked it to. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../ports.ts';

/** One look is a read of the pid file and a signal 0. */
const LOOK_EVERY_MS = 500;
/** A start that fails is tried again after this, then twice as long, up to the maximum. */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;

/** What is looked at, and how it is started. */
export interface WatchedServer {
  isRunning(): Promise<boolean>;
  /** Throws when it does not come up. */
  start(): Promise<void>;
  readonly log: Log;
}

/** Until `stopping` fires; resolves then, when no start is under way any more. Never rejects: a look that fails counts as a failed start. */
export async function keepRunning(server: WatchedServer, stopping: AbortSignal): Promise<void> {
  let retryMs = RETRY_FIRST_MS;
  let pauseMs = LOOK_EVERY_MS;
  for (;;) {
    await delay(pauseMs, undefined, { signal: stopping, ref: false }).catch(() => undefined);
    if (stopping.aborted) return;
    pauseMs = LOOK_EVERY_MS;
    try {
      if (await server.isRunning()) continue;
      server.log.warn({}, 'the embedded PostgreSQL has ended by itself; it is started again');
      await server.start();
      retryMs = RETRY_FIRST_MS;
    } catch (error) {
      server.log.error(
        { err: error, retryMs },
        'the embedded PostgreSQL could not be started again; it is tried later',
      );
      pauseMs = retryMs;
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    }
  }
}
