/**
 * Passing requests and WebSockets on to an instance, through httpxy. What is ours here: which headers pass, which connection a request
 * takes, when it is tried again, and that an app that is away becomes a 502 and nothing worse.
 */
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { createProxyServer } from 'httpxy';
import { GATEWAY_UPGRADE_TIMEOUT_MS } from '../../core/limits.ts';
import type { Upstream } from '../../core/preview.ts';
import type { Log } from '../../ports.ts';
import type { Backend } from './backend.ts';
import { isRepeatable, prepareRequestHeaders, prepareResponseHeaders } from './forwarded-headers.ts';
import { answer, answerOnSocket, APP_AWAY } from './own-answers.ts';

export interface Destination {
  readonly backend: Backend;
  readonly upstream: Upstream;
  /** Path and query as the app is to see them. */
  readonly target: string;
}

export interface Forwarder {
  /**
   * Answers the request from the destination. A repeatable request whose connection broke before any answer is sent once more, to
   * where `lookUp` then says: after a switch that is the next instance.
   */
  request(
    request: IncomingMessage,
    response: ServerResponse,
    first: Destination,
    lookUp: () => Destination | null,
  ): void;
  /** Joins the client's socket to the app's, or passes on the app's refusal. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer, destination: Destination): void;
}

/** How long a client that was told goodbye may keep its half of an upgraded connection. */
const HALF_CLOSED_MS = 10_000;

export function createForwarder(options: { scheme: 'http' | 'https'; log: Log }): Forwarder {
  const { scheme, log } = options;
  /** Requests whose client wants no further answer on its connection. */
  const wantsClose = new WeakSet<IncomingMessage>();
  const requests = createProxyServer({});
  requests.on('proxyRes', (upstreamResponse, request) => {
    const isLast = wantsClose.has(request);
    prepareResponseHeaders(upstreamResponse.headers);
    upstreamResponse.headers.connection = isLast ? 'close' : 'keep-alive';
  });
  // A client that went away: httpxy has ended the request to the app, and there is nobody to tell.
  requests.on('econnreset', () => undefined);

  async function send(
    request: IncomingMessage,
    response: ServerResponse,
    destination: Destination,
    headers: Record<string, string>,
    isKept: boolean,
  ): Promise<void> {
    const leave = destination.backend.enter();
    response.once('close', leave);
    request.url = destination.target;
    try {
      await requests.web(request, response, {
        target: { protocol: 'http:', host: destination.upstream.address, port: destination.upstream.port },
        agent: isKept ? destination.backend.connections : false,
        headers: isKept ? { ...headers, connection: 'keep-alive' } : headers,
      });
    } catch (error) {
      response.off('close', leave);
      leave();
      throw error;
    }
  }

  async function forward(
    request: IncomingMessage,
    response: ServerResponse,
    first: Destination,
    lookUp: () => Destination | null,
  ): Promise<void> {
    const repeatable = isRepeatable(request);
    if (!response.shouldKeepAlive) wantsClose.add(request);
    const headers = prepareRequestHeaders(request, scheme);
    try {
      await send(request, response, first, headers, repeatable);
    } catch (error) {
      const again = repeatable && hasBroken(error) && !hasBegun(response) ? lookUp() : null;
      if (again === null) throw error;
      await send(request, response, again, headers, false);
    }
  }

  function upgrade(request: IncomingMessage, socket: Socket, head: Buffer, destination: Destination): void {
    const leave = destination.backend.enter();
    socket.once('close', leave);
    let hasAnswer = false;
    const proxy = createProxyServer({});
    proxy.on('proxyReqWs', (upstreamRequest: ClientRequest) => {
      upstreamRequest.once('response', (upstreamResponse) => {
        hasAnswer = true;
        upstreamResponse.headers['x-robots-tag'] = 'noindex';
      });
      upstreamRequest.once('upgrade', (_response, upstreamSocket: Socket) => {
        hasAnswer = true;
        joinEnds(socket, upstreamSocket);
      });
      // A client that leaves while the app still thinks about it.
      socket.once('close', () => upstreamRequest.destroy());
    });
    proxy.on('error', (error) => {
      log.debug({ instance: destination.backend.instance, reason: error.message }, 'upgrade failed');
      if (hasAnswer) socket.destroy();
      else answerOnSocket(socket, APP_AWAY);
    });
    const headers = prepareRequestHeaders(request, scheme);
    request.url = destination.target;
    request.headers.upgrade = 'websocket';
    const forwarded = proxy.ws(
      request,
      socket,
      {
        target: { protocol: 'http:', host: destination.upstream.address, port: destination.upstream.port },
        agent: false,
        upgradeTimeout: GATEWAY_UPGRADE_TIMEOUT_MS,
        headers: { ...headers, connection: 'Upgrade' },
      },
      head,
    );
    // Errors have gone to the listener above.
    forwarded.catch(() => undefined);
  }

  return {
    request(request, response, first, lookUp) {
      forward(request, response, first, lookUp).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        log.debug({ instance: first.backend.instance, reason }, 'the app did not answer');
        if (hasBegun(response)) response.destroy();
        else answer(request, response, APP_AWAY);
      });
    },
    upgrade,
  };
}

/** The connection was closed under a request that the app may never have seen. */
function hasBroken(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNREFUSED';
}

function hasBegun(response: ServerResponse): boolean {
  return response.headersSent || response.destroyed;
}

/** When one end is gone the other goes too; httpxy's pipes alone would leave it waiting. */
function joinEnds(client: Socket, app: Socket): void {
  client.once('close', () => app.destroy());
  app.once('close', () => {
    if (app.errored !== null && app.errored !== undefined) client.destroy();
    else client.end();
    client.setTimeout(HALF_CLOSED_MS, () => client.destroy());
  });
}
