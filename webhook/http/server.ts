/**
 * The listener that the Internet can reach (through a proxy): the webhook, health, readiness, metrics, and nothing else. Built without listening, so
 * that whoever starts it decides where.
 */
import rateLimit from '@fastify/rate-limit';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  BAD_SIGNATURES_PER_MINUTE,
  WEBHOOK_BODIES_MAX_BYTES,
  WEBHOOK_BODY_MAX_BYTES,
  WEBHOOK_CONNECTIONS_MAX,
  WEBHOOK_IN_HAND_MAX,
  WEBHOOK_KEEP_ALIVE_MS,
  WEBHOOK_RECEIVE_TIMEOUT_MS,
  WEBHOOK_SEND_TIMEOUT_MS,
} from '../core/limits.ts';
import { WEBHOOK_PATH } from '../core/pull-request.ts';
import type { Intake, Log, WebhookSource } from '../ports.ts';
import { bodyOfStatus, refuse, replyToError } from './error-reply.ts';
import { healthRoute } from './health-route.ts';
import { takeInHand } from './in-hand.ts';
import { metricsRoute, type Metrics } from './metrics.ts';
import { webhookRoute } from './webhook-route.ts';

export interface HttpLimits {
  readonly bodyMaxBytes: number;
  readonly bodiesMaxBytes: number;
  readonly receiveTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly inHandMax: number;
  readonly keepAliveMs: number;
  readonly connectionsMax: number;
  readonly badSignaturesPerMinute: number;
}

export const HTTP_LIMITS: HttpLimits = {
  bodyMaxBytes: WEBHOOK_BODY_MAX_BYTES,
  bodiesMaxBytes: WEBHOOK_BODIES_MAX_BYTES,
  receiveTimeoutMs: WEBHOOK_RECEIVE_TIMEOUT_MS,
  sendTimeoutMs: WEBHOOK_SEND_TIMEOUT_MS,
  inHandMax: WEBHOOK_IN_HAND_MAX,
  keepAliveMs: WEBHOOK_KEEP_ALIVE_MS,
  connectionsMax: WEBHOOK_CONNECTIONS_MAX,
  badSignaturesPerMinute: BAD_SIGNATURES_PER_MINUTE,
};

export interface WebhookServerOptions {
  readonly source: WebhookSource;
  readonly intake: Intake;
  /** Whether deliveries can be committed and worked off. */
  readonly isReady: () => Promise<boolean>;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly limits?: Partial<HttpLimits>;
}

/** All that exists here, byte for byte. */
const METHODS: ReadonlyMap<string, readonly string[]> = new Map([
  [WEBHOOK_PATH, ['POST']],
  ['/health', ['GET', 'HEAD']],
  ['/ready', ['GET', 'HEAD']],
  ['/metrics', ['GET', 'HEAD']],
]);

/** Where every other path is sent: there is no route. */
const NOWHERE = '/';

/** How often Node looks for senders that are too slow. */
const SLOW_SENDER_CHECK_MS = 500;

/** The listener, ready for `listen`. `close()` waits for the requests in hand. */
export async function buildWebhookServer(options: WebhookServerOptions): Promise<FastifyInstance> {
  const limits = { ...HTTP_LIMITS, ...options.limits };
  const app = fastify({
    logger: false,
    // Of headers and body together. Node starts to count when the connection is made, so this is also the limit of one that says nothing.
    requestTimeout: limits.receiveTimeoutMs,
    // Of a connection with a request in hand on which nothing moves, in either direction.
    connectionTimeout: limits.sendTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    http: { headersTimeout: limits.receiveTimeoutMs, connectionsCheckingInterval: SLOW_SENDER_CHECK_MS },
    bodyLimit: limits.bodyMaxBytes,
    // A proxy on this host may say for whom it asks; nobody else is believed.
    trustProxy: 'loopback',
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // The router decodes and repairs paths. Ours are these bytes or nothing.
    rewriteUrl: (request) => (METHODS.has(pathOf(request.url)) ? (request.url ?? NOWHERE) : NOWHERE),
  });
  app.server.maxConnections = limits.connectionsMax;
  app.server.on('connect', refuseConnect);

  // What a connection that breaks before its answer is counted as.
  app.decorateReply('answer', 'cut_off');
  app.addHook('onRequest', (request, reply, done) => {
    if (!takeInHand(request.raw.socket, reply.raw, limits.inHandMax)) request.raw.socket.destroy();
    else if (request.is404) refuseUnknown(request, reply);
    else done();
  });
  app.setNotFoundHandler(refuseUnknown);
  app.setErrorHandler((error, _request, reply) => replyToError(options.log, error, reply));

  // Counted for failed signatures only, by the webhook's own route.
  await app.register(rateLimit, { global: false });
  await app.register(webhookRoute, { ...options, limits });
  await app.register(healthRoute, options);
  await app.register(metricsRoute, options);
  return app;
}

function pathOf(url = ''): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

function refuseUnknown(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const allowed = METHODS.get(pathOf(request.url));
  if (allowed === undefined) return refuse(reply, 404, bodyOfStatus(404));
  return refuse(reply.header('allow', allowed.join(', ')), 405, bodyOfStatus(405));
}

/** CONNECT reaches no route; without a listener Node would close the connection without a word. */
function refuseConnect(_request: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  socket.end('HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
}
