/**
 * One instance as the gateway sees it: where its ports are answered, the connections that are kept open to it, and how much of it is
 * in flight. A switch makes a new backend answer; the old one lives on here until its last request, stream or WebSocket has ended.
 */
import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Upstream, Upstreams } from '../../core/preview.ts';
import type { InstanceName } from '../../core/names.ts';

/** Connections kept for the next request, until the backend is retired. */
class KeptConnections extends Agent {
  #isRetired = false;

  constructor() {
    super({ keepAlive: true, maxFreeSockets: 64 });
  }

  /** The documented hook of http.Agent: a false answer closes the connection instead of keeping it. @types/node calls it void. */
  override keepSocketAlive(socket: Duplex): boolean {
    return !this.#isRetired && (super.keepSocketAlive(socket) as unknown as boolean);
  }

  retire(): void {
    this.#isRetired = true;
    for (const sockets of Object.values(this.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }

  revive(): void {
    this.#isRetired = false;
  }
}

export class Backend {
  readonly instance: InstanceName;
  readonly upstreams: Upstreams;
  readonly connections = new KeptConnections();
  #inFlight = 0;
  #onIdle: (() => void) | null = null;

  constructor(instance: InstanceName, upstreams: Upstreams) {
    this.instance = instance;
    this.upstreams = upstreams;
  }

  upstreamOf(port: number): Upstream | undefined {
    return this.upstreams[String(port)];
  }

  /** Requests being answered and streams and WebSockets that are open. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Counts one more until the returned function is called; calling it twice counts once. */
  enter(): () => void {
    this.#inFlight += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#onIdle?.();
    };
  }

  /** No new requests: idle connections are closed now, others after their answer. `onIdle` is called when nothing is in flight. */
  retire(onIdle: () => void): void {
    this.connections.retire();
    this.#onIdle = onIdle;
    if (this.#inFlight === 0) onIdle();
  }

  /** Answers again: a rollback to it before it was idle. */
  revive(): void {
    this.#onIdle = null;
    this.connections.revive();
  }
}

export function isSameBackend(backend: Backend, instance: InstanceName, upstreams: Upstreams): boolean {
  const ports = Object.keys(upstreams);
  if (backend.instance !== instance || ports.length !== Object.keys(backend.upstreams).length) return false;
  return ports.every((port) => {
    const [a, b] = [backend.upstreams[port], upstreams[port]];
    return a?.address === b?.address && a?.port === b?.port;
  });
}
