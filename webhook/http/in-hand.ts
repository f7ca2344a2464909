/** What one connection, or one moment, may ask of us at the same time. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const inHand = new WeakMap<Socket, number>();

/**
 * Takes a request in hand until its answer has left, and says whether its connection had room for it. A sender may put requests one behind the other
 * without reading an answer, and each would hold its own until it does.
 */
export function takeInHand(socket: Socket, response: ServerResponse, most: number): boolean {
  const count = (inHand.get(socket) ?? 0) + 1;
  if (count > most) return false;
  inHand.set(socket, count);
  response.once('close', () => inHand.set(socket, (inHand.get(socket) ?? 1) - 1));
  return true;
}

/** The same work, done once for all who ask while it is being done. */
export function sharedInFlight<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let running: Promise<Result> | null = null;
  return () => {
    running ??= work().finally(() => {
      running = null;
    });
    return running;
  };
}
