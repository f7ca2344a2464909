/**
 * The gateway's HTTP server: reads whom a request is for and decides where it goes. Everything here is from strangers, so what is not
 * plainly a request for a preview is refused; Node's parser in its strict mode refuses the rest (conflicting lengths, bare line feeds).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GATEWAY_CLOSE_GRACE_MS, GATEWAY_HEADERS_TIMEOUT_MS, GATEWAY_IDLE_MS } from '../../core/limits.ts';
import type { Slug } from '../../core/names.ts';
import type { Log } from '../../ports.ts';
import { forward, responseOn, type Destination, type Exchange } from './forward.ts';
import { absoluteTarget, requestedHost } from './host-label.ts';
import { matchRoute } from './match-route.ts';
import {
  answer,
  answerOnSocket,
  BAD_REQUEST,
  NO_SUCH_PATH,
  NO_SUCH_PREVIEW,
  NOT_UP_YET,
  OWN_HEADERS,
  wantsPage,
  type OwnAnswer,
} from './own-answers.ts';
import type { LiveHost, RouteTable } from './route-table.ts';

/** The page of a preview that does not answer. */
export interface StatusPage {
  readonly status: number;
  readonly html: string;
  /** The same in one line, for programs. */
  readonly text: string;
  /** Null where nothing comes of waiting. */
  readonly retryAfterSeconds: number | null;
  /** Its Content-Security-Policy, where it needs more than the gateway's own. */
  readonly contentSecurityPolicy?: string;
}

export interface FrontDoorOptions {
  /** Address to listen on. */
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Previews are `<label>.<domain>`. Lower case, without a dot at either end. */
  readonly domain: string;
  readonly scheme: 'http' | 'https';
  /** What to show while nothing answers. When it throws, a plain page is shown. */
  readonly statusPage: (slug: Slug) => Promise<StatusPage>;
  readonly log: Log;
}

export interface FrontDoor {
  readonly port: number;
  /** Stops listening, lets requests end for GATEWAY_CLOSE_GRACE_MS, then cuts what is still open. */
  close(): Promise<void>;
}

/** Where a request goes: to an app, or nowhere and why. */
type Direction = Destination | { readonly redirect: string } | { readonly waiting: Slug } | { readonly own: OwnAnswer };

/** Listens, and answers from the table. Throws what listening throws: EADDRINUSE, EACCES and the like. */
export async function openFrontDoor(options: FrontDoorOptions, table: RouteTable): Promise<FrontDoor> {
  const server = serve(options, table);
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await listening(server, options);
  return { port: (server.address() as AddressInfo).port, close: () => closeServer(server, sockets) };
}

type Handle = (request: IncomingMessage, response: ServerResponse, upgrade: Exchange['upgrade']) => void;

/** What becomes of one request. */
function handlerFor(options: FrontDoorOptions, table: RouteTable): Handle {
  const { domain, scheme, log } = options;

  function directionOf(request: IncomingMessage, target: string): Direction {
    const host = requestedHost(request.headers.host ?? '', domain);
    if (host.kind === 'malformed') return { own: BAD_REQUEST };
    const live = host.kind === 'label' ? table.find(host.label) : undefined;
    if (live === undefined) return { own: NO_SUCH_PREVIEW };
    return directionWithin(live, target);
  }

  async function statusOf(slug: Slug): Promise<StatusPage | null> {
    try {
      return await options.statusPage(slug);
    } catch (error) {
      log.warn({ slug, reason: (error as Error).message }, 'no status page');
      return null;
    }
  }

  return (request, response, upgrade) => {
    const target = acceptedTarget(request);
    if (target === null) return answer(request, response, BAD_REQUEST);
    const direction = directionOf(request, target);
    if ('own' in direction) return answer(request, response, direction.own);
    if ('waiting' in direction) return void showStatus(request, response, () => statusOf(direction.waiting));
    if ('redirect' in direction) return redirect(response, direction.redirect);
    forward({ request, response, upgrade, scheme, log }, direction, () => {
      const again = directionOf(request, target);
      return 'backend' in again ? again : null;
    });
  };
}

function serve(options: FrontDoorOptions, table: RouteTable): Server {
  const handle = handlerFor(options, table);
  const server = createServer({
    headersTimeout: GATEWAY_HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: 1_000,
    // A whole upload may take as long as it makes progress; the socket's idle time bounds it.
    requestTimeout: 0,
    keepAliveTimeout: GATEWAY_IDLE_MS,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    // Everything but a WebSocket is a plain request: the client of an `Upgrade: h2c` goes on in HTTP/1.1 (RFC 9110 section 7.8).
    shouldUpgradeCallback: (request) =>
      request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket',
  });
  server.timeout = GATEWAY_IDLE_MS;
  /** The answers that are under way on each connection; several where requests are pipelined. */
  const underWay = new WeakMap<Duplex, Set<ServerResponse>>();
  function begin(request: IncomingMessage, response: ServerResponse, upgrade: Exchange['upgrade']): void {
    const others = underWay.get(request.socket) ?? new Set();
    underWay.set(request.socket, others.add(response));
    response.once('close', () => others.delete(response));
    try {
      handle(request, response, upgrade);
    } catch (error) {
      // The whole operator is in this process: a defect that one request finds ends that request and nothing else.
      options.log.error({ reason: (error as Error).stack }, 'request failed');
      response.destroy();
    }
  }
  server.on('request', (request, response) => begin(request, response, null));
  server.on('upgrade', (request, socket: Socket, head) => {
    socket.on('error', () => undefined);
    begin(request, responseOn(socket, request), { socket, head });
  });
  server.on('connect', (_request, socket) => answerOnSocket(socket, BAD_REQUEST));
  server.on('clientError', (_error, socket) => {
    // In the middle of an answer to an earlier request a second one would be taken for a part of it.
    const isAnswering = [...(underWay.get(socket) ?? [])].some((response) => response.headersSent);
    if (isAnswering) socket.destroy();
    else answerOnSocket(socket, BAD_REQUEST);
  });
  return server;
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(307, { location, 'content-length': 0, 'x-robots-tag': 'noindex' });
  response.end();
}

function directionWithin(live: LiveHost, target: string): Direction {
  if (live.backend === null) return { waiting: live.slug };
  const match = matchRoute(live.routes, target);
  if (match === null) return { own: NO_SUCH_PATH };
  if (match.kind === 'redirect') return { redirect: match.location };
  const upstream = live.backend.upstreamOf(match.port);
  return upstream === undefined ? { own: NO_SUCH_PATH } : { backend: live.backend, upstream, target: match.target };
}

/**
 * The path and query of the request; null when it must be refused. An absolute target overrules the Host header, and two Host headers
 * are one too many (RFC 9112 section 3.2).
 */
function acceptedTarget(request: IncomingMessage): string | null {
  let hosts = 0;
  for (let at = 0; at < request.rawHeaders.length; at += 2)
    if (request.rawHeaders[at]?.length === 4 && request.rawHeaders[at]?.toLowerCase() === 'host') hosts += 1;
  if (hosts > 1) return null;
  const target = request.url ?? '';
  if (target.startsWith('/')) return target;
  const absolute = absoluteTarget(target);
  if (absolute === null) return null;
  request.headers.host = absolute.host;
  return absolute.path;
}

async function showStatus(
  request: IncomingMessage,
  response: ServerResponse,
  statusPage: () => Promise<StatusPage | null>,
): Promise<void> {
  const page = await statusPage();
  if (page === null) return answer(request, response, NOT_UP_YET);
  const { status, text, retryAfterSeconds } = page;
  const retryAfter = retryAfterSeconds === null ? {} : { retryAfter: retryAfterSeconds };
  if (!wantsPage(request)) return answer(request, response, { status, title: NOT_UP_YET.title, text, ...retryAfter });
  response.writeHead(status, {
    ...OWN_HEADERS,
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(page.html),
    'content-security-policy': page.contentSecurityPolicy ?? OWN_HEADERS['content-security-policy'],
    ...(retryAfterSeconds === null ? {} : { 'retry-after': String(retryAfterSeconds) }),
  });
  response.end(request.method === 'HEAD' ? undefined : page.html);
}

function listening(server: Server, options: Pick<FrontDoorOptions, 'host' | 'port'>): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Node's own backlog is 511: a burst of more new connections while we are busy would be reset. 4,096 is Linux' own limit (since 5.4).
    server.listen({ host: options.host, port: options.port, backlog: 4_096 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function closeServer(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const sweepIdle = setInterval(() => server.closeIdleConnections(), 20);
  const cut = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, GATEWAY_CLOSE_GRACE_MS);
  await closed;
  clearInterval(sweepIdle);
  clearTimeout(cut);
}
