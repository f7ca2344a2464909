/**
 * One instance as the gateway sees it: where its ports are answered, the connections that are kept open to it, and how much of it is
 * in flight. A switch makes a new backend answer; the old one lives on here until its last request, stream or WebSocket has ended.
 */
import { buildConnector, Client, Pool, type Dispatcher } from 'undici';
import { GATEWAY_CONNECT_TIMEOUT_MS } from '../../core/limits.ts';
import type { InstanceName } from '../../core/names.ts';
import type { Upstream, Upstreams } from '../../core/preview.ts';

const OPTIONS = {
  connect: buildConnector({ timeout: GATEWAY_CONNECT_TIMEOUT_MS }),
  // How long an app may think or fall silent is its own affair; the client's connection has the limit (front-door.ts).
  headersTimeout: 0,
  bodyTimeout: 0,
} as const;

export class Backend {
  readonly instance: InstanceName;
  readonly upstreams: Upstreams;
  readonly #kept = new Map<Upstream, Pool>();
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

  /** Sends a request on a connection that is kept for the next one, or on one of its own. Whatever happens, the handler is told. */
  dispatch(
    to: { readonly upstream: Upstream; readonly connection: 'kept' | 'own' },
    request: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): void {
    // A request that was on its way to us while the backend was retired must not open a pool again.
    if (to.connection === 'kept' && this.#onIdle === null) {
      this.#poolOf(to.upstream).dispatch(request, handler);
      return;
    }
    const client = new Client(originOf(to.upstream), OPTIONS);
    client.dispatch(request, handler);
    closeQuietly(client);
  }

  /** No new requests: idle connections are closed now, others after their answer. `onIdle` is called when nothing is in flight. */
  retire(onIdle: () => void): void {
    for (const pool of this.#kept.values()) closeQuietly(pool);
    this.#kept.clear();
    this.#onIdle = onIdle;
    if (this.#inFlight === 0) onIdle();
  }

  /** Answers again: a rollback to it before it was idle. */
  revive(): void {
    this.#onIdle = null;
  }

  #poolOf(upstream: Upstream): Pool {
    const known = this.#kept.get(upstream);
    if (known !== undefined) return known;
    const pool = new Pool(originOf(upstream), OPTIONS);
    this.#kept.set(upstream, pool);
    return pool;
  }
}

function originOf(upstream: Upstream): string {
  return `http://${upstream.address}:${upstream.port}`;
}

/** Lets what is running end; what is idle is closed. The requests themselves have been told of any error. */
function closeQuietly(dispatcher: Dispatcher): void {
  dispatcher.close().catch(() => undefined);
}

export function isSameBackend(backend: Backend, instance: InstanceName, upstreams: Upstreams): boolean {
  const ports = Object.keys(upstreams);
  if (backend.instance !== instance || ports.length !== Object.keys(backend.upstreams).length) return false;
  return ports.every((port) => {
    const [a, b] = [backend.upstreams[port], upstreams[port]];
    return a?.address === b?.address && a?.port === b?.port;
  });
}
