/**
 * Passing requests and WebSockets on to an instance, with undici as the client of the app (docs/decisions says why). What is ours here:
 * which headers pass, which connection a request takes, when it is sent again, and that an app that is away becomes a 502 and nothing
 * worse.
 */
import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Dispatcher } from 'undici';
import type { Upstream } from '../../core/preview.ts';
import type { Log } from '../../ports.ts';
import type { Backend } from './backend.ts';
import { hasBody, isRepeatable, requestHeaders, responseHeaders } from './forwarded-headers.ts';
import { answer, APP_AWAY } from './own-answers.ts';

export interface Destination {
  readonly backend: Backend;
  readonly upstream: Upstream;
  /** Path and query as the app is to see them. */
  readonly target: string;
}

/** How long a client that was told goodbye may keep its half of an upgraded connection. */
const HALF_CLOSED_MS = 10_000;

/** One request of a client and what it takes to answer it from an app. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The client's socket and what came on it after the head, where the client asks for a WebSocket. */
  readonly upgrade: { readonly socket: Socket; readonly head: Buffer } | null;
  readonly scheme: 'http' | 'https';
  readonly log: Log;
}

/**
 * Answers the exchange from the destination. A repeatable request whose connection broke before any answer is sent once more, to where
 * `lookUp` then says: after a switch that is the next instance.
 */
export function forward(exchange: Exchange, destination: Destination, lookUp: () => Destination | null): void {
  const isKept = exchange.upgrade === null && isRepeatable(exchange.request);
  send(exchange, { ...destination, connection: isKept ? 'kept' : 'own' }, (error) => {
    const { response, log } = exchange;
    if (response.destroyed) return;
    log.debug({ instance: destination.backend.instance, reason: error.message }, 'the app did not answer');
    const again = isKept && isBroken(error) && !response.headersSent ? lookUp() : null;
    if (again === null) fail(exchange);
    else send(exchange, { ...again, connection: 'own' }, () => fail(exchange));
  });
}

/** A response on the bare socket of an upgrade request, for everything that is not the upgrade itself. */
export function responseOn(socket: Socket, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => {
    response.detachSocket(socket);
    // As http.Server does once it has let go of the socket.
    response.emit('close');
    socket.end();
    socket.setTimeout(HALF_CLOSED_MS, () => socket.destroy());
  });
  return response;
}

function fail(exchange: Exchange): void {
  const { request, response } = exchange;
  if (response.headersSent) {
    // Cut short: the client sees that its answer is not whole.
    response.destroy();
    return;
  }
  // What is left of the request's body will not be read.
  if (!request.complete) response.shouldKeepAlive = false;
  answer(request, response, APP_AWAY);
}

/** Whether the app keeps the connection for the next request. */
interface OnConnection {
  readonly connection: 'kept' | 'own';
}

function send(exchange: Exchange, to: Destination & OnConnection, onError: (error: Error) => void): void {
  const { request, response, upgrade, scheme } = exchange;
  const leave = to.backend.enter();
  const handler = new Answering(exchange, leave, onError);
  const options = {
    method: request.method ?? 'GET',
    path: to.target,
    headers: requestHeaders(request, scheme),
    body: hasBody(request) ? request : null,
    upgrade: upgrade === null ? null : 'websocket',
  };
  to.backend.dispatch(to, options, handler);
  response.once('close', () => handler.onClientGone());
}

type UpgradeArguments = Parameters<NonNullable<Dispatcher.DispatchHandler['onRequestUpgrade']>>;

/** Writes what the app answers to the client, as fast as the client takes it. Informational answers (1xx) and trailers are left out. */
class Answering implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;
  readonly #leave: () => void;
  readonly #onError: (error: Error) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #isUpgraded = false;
  #isOver = false;

  constructor(exchange: Exchange, leave: () => void, onError: (error: Error) => void) {
    this.#exchange = exchange;
    this.#leave = leave;
    this.#onError = onError;
  }

  onClientGone(): void {
    if (this.#isUpgraded) return;
    if (!this.#isOver) this.#controller?.abort(new Error('the client is gone'));
    this.#leave();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#exchange.response.destroyed) controller.abort(new Error('the client is gone'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) return;
    const { response } = this.#exchange;
    const raw = (controller.rawHeaders ?? []) as Buffer[];
    // The app's reason phrase means nothing (RFC 9112 section 4) and may hold bytes that Node refuses to send.
    response.writeHead(status, responseHeaders(raw));
    response.on('drain', () => controller.resume());
    // The head of a stream that is silent at first goes out now; any other leaves together with the body.
    process.nextTick(() => {
      if (!this.#isOver && !response.destroyed) response.flushHeaders();
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#exchange.response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#isOver = true;
    this.#exchange.response.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#isOver = true;
    this.#leave();
    this.#onError(error);
  }

  onRequestUpgrade(...[controller, status, , app]: UpgradeArguments): void {
    const { response, upgrade } = this.#exchange;
    if (upgrade === null) throw new Error('the app upgraded a request that did not ask for it');
    const { socket, head } = upgrade;
    this.#isOver = true;
    this.#isUpgraded = true;
    response.detachSocket(socket);
    socket.once('close', this.#leave);
    const raw = (controller.rawHeaders ?? []) as Buffer[];
    socket.write(upgradeHead(status, responseHeaders(raw)), 'latin1');
    join(socket, head, app as Socket);
  }
}

function upgradeHead(status: number, headers: readonly string[]): string {
  let text = `HTTP/1.1 ${status} Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
  for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return `${text}\r\n`;
}

/** From now on bytes go both ways; when one end is gone the other goes too. */
function join(client: Socket, head: Buffer, app: Socket): void {
  for (const socket of [client, app]) {
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
  }
  if (head.length > 0) client.unshift(head);
  client.pipe(app).pipe(client);
  client.once('close', () => app.destroy());
  app.once('close', () => {
    client.end();
    client.setTimeout(HALF_CLOSED_MS, () => client.destroy());
  });
}

/** The connection was closed or refused under a request that the app may never have seen. */
function isBroken(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNREFUSED';
}
