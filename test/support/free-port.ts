/** Ports for programs that have to be told theirs. For tests, the demonstration and benchmarks. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/**
 * Below 32768, where Linux takes the ports of outgoing connections from (ip_local_port_range): such a connection holds
 * its port for as long as it likes, also while a program that a test stopped is to start again on the one it had. And
 * above those of the slots that tests come to.
 */
const LOWEST = 25_000;
const HIGHEST = 32_766;

/**
 * A TCP port on 127.0.0.1 on which nobody listens. No other caller on this machine gets it before this process ends:
 * we listen on the odd port above it for as long.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 2 * randomInt(LOWEST / 2, HIGHEST / 2);
    const claim = await listening(port + 1);
    if (claim === null) continue;
    const probe = await listening(port);
    if (probe !== null) {
      claim.unref();
      await closed(probe);
      return port;
    }
    await closed(claim);
  }
}

/** Null when somebody else does. */
async function listening(port: number): Promise<Server | null> {
  const server = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return null;
    throw error;
  }
}

async function closed(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}
