import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '../../../core/errors.ts';
import type { Upstream, Upstreams } from '../../../core/preview.ts';

/** What was killed a moment ago lets go of its sockets within milliseconds; on a busy host within this. */
const GRACE_MS = 3_000;
const PAUSE_MS = 25;

/**
 * Nobody answers where the services are about to listen. Otherwise the health check would be answered by a stranger (another operator on this
 * machine, a process that somebody started by hand), and the preview called live on its word. Throws RUNTIME_FAILED naming the address.
 * It connects instead of binding, so that two who look at the same time do not find each other.
 */
export async function refuseTakenPorts(upstreams: Upstreams): Promise<void> {
  const deadline = Date.now() + GRACE_MS;
  let taken = await firstTaken(upstreams);
  while (taken !== null && Date.now() < deadline) {
    await delay(PAUSE_MS);
    taken = await firstTaken(upstreams);
  }
  if (taken === null) return;
  const { address, port } = taken;
  throw new OperatorError(
    'RUNTIME_FAILED',
    `Something else listens on ${address}:${port}, where a service of this preview has to.`,
    {
      hint: 'Another operator on this machine uses the same addresses: give one of them another `runtime.pool`. It is tried again by itself.',
    },
  );
}

async function firstTaken(upstreams: Upstreams): Promise<Upstream | null> {
  const all = Object.values(upstreams);
  const answered = await Promise.all(all.map(isAnswered));
  return all[answered.indexOf(true)] ?? null;
}

function isAnswered({ address, port }: Upstream): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: address, port }, () => resolve(true));
  socket.on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
