/**
 * POST /webhook/github: raw bytes → verified event → committed → 202. Nothing is answered 202 that is not in PostgreSQL; nothing else is done here.
 * Every answer is in the table of docs/reference/http-api.md.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { firstSlugCandidate } from '../core/names.ts';
import { WEBHOOK_PATH, type IncomingDelivery } from '../core/pull-request.ts';
import type { Acceptance, Intake, Log, WebhookSource } from '../ports.ts';
import { refuse, replyToError, statusOf, type ErrorBody } from './error-reply.ts';
import type { DeliveryCounter } from './metrics.ts';
import { readBodiesAsBytes, type BodyLimits } from './raw-body.ts';

export interface WebhookRouteOptions {
  readonly source: WebhookSource;
  readonly intake: Intake;
  readonly metrics: DeliveryCounter;
  readonly log: Log;
  readonly limits: BodyLimits & { readonly badSignaturesPerMinute: number };
}

const NO_BODY = Buffer.alloc(0);
const MINUTE_MS = 60_000;

/** For a header that is no content type at all: Fastify stops there, before the source is asked. */
const NO_CONTENT_TYPE: ErrorBody = {
  error: 'Set the webhook’s "Content type" to application/json.',
  code: 'bad_content_type',
};

/** A plugin with a scope of its own: its way of reading bodies is nobody else's. Needs @fastify/rate-limit registered. */
export async function webhookRoute(app: FastifyInstance, options: WebhookRouteOptions): Promise<void> {
  readBodiesAsBytes(app, options.limits);
  const badSignatureBudget = app.createRateLimit({
    max: options.limits.badSignaturesPerMinute,
    timeWindow: MINUTE_MS,
  });

  app.addHook('onResponse', (_request, reply, done) => {
    options.metrics.countAnswer(reply.answer, reply.statusCode, reply.elapsedTime / 1_000);
    done();
  });
  app.setErrorHandler((error, _request, reply) =>
    statusOf(error) === 415 ? refuse(reply, 415, NO_CONTENT_TYPE) : replyToError(options.log, error, reply),
  );

  app.post(WEBHOOK_PATH, async (request, reply) => {
    const rawBody = request.body instanceof Buffer ? request.body : NO_BODY;
    const incoming = options.source.read(request.headers, rawBody);
    switch (incoming.kind) {
      case 'event':
        return answer(reply, 202, await acceptEvent(options, incoming));
      case 'comment':
        return acceptComment(options, incoming, reply);
      case 'ping':
        options.log.info({ deliveryId: incoming.deliveryId }, 'GitHub’s ping arrived: the webhook is set up.');
        return answer(reply, 200, { status: 'pong' });
      case 'ignored':
        options.log.debug({ deliveryId: incoming.deliveryId, reason: incoming.reason }, 'Delivery ignored.');
        return answer(reply, 200, { status: 'ignored', reason: incoming.reason });
      case 'rejected':
        return incoming.status === 401
          ? refuseSignature(options, incoming, { request, reply, budget: badSignatureBudget })
          : refuseDelivery(options, incoming, reply);
    }
  });
}

/** The body of an answer that is no error says in one word what became of the delivery. */
interface Answer {
  readonly status: Acceptance | 'ignored' | 'pong';
  readonly reason?: string;
  readonly slug?: string | undefined;
}

function answer(reply: FastifyReply, status: 200 | 202, body: Answer): FastifyReply {
  reply.answer = body.status;
  return reply.code(status).send(body);
}

type Event = Extract<IncomingDelivery, { kind: 'event' }>;
type Rejection = Extract<IncomingDelivery, { kind: 'rejected' }>;

/** Commits the event, and only then says so. Throws what the intake throws. */
export async function acceptEvent(
  options: { readonly intake: Pick<Intake, 'accept'>; readonly log: Log },
  incoming: Event,
): Promise<{ status: Acceptance; slug: string | undefined }> {
  const { deliveryId, event } = incoming;
  const acceptance = await options.intake.accept(deliveryId, event);
  // Not a line for each at the level of every day: it is a row in PostgreSQL, and the look that it causes is logged.
  options.log.debug({ deliveryId, ...event }, `Delivery ${acceptance}.`);
  // The name that the preview asks for first; it gets another one only when a preview of a repository of the same name has this one.
  const slug = firstSlugCandidate(event.repository, event.key);
  return { status: acceptance, slug };
}

async function acceptComment(
  { intake, log }: WebhookRouteOptions,
  { deliveryId, key, commentId }: Extract<IncomingDelivery, { kind: 'comment' }>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (!(await intake.doubtComment(key, commentId))) {
    log.debug({ deliveryId, reason: 'comment_not_ours' }, 'Delivery ignored.');
    return answer(reply, 200, { status: 'ignored', reason: 'comment_not_ours' });
  }
  log.info({ deliveryId, key, commentId }, 'Somebody edited or deleted our comment.');
  return answer(reply, 202, { status: 'accepted' });
}

function refuseDelivery(options: WebhookRouteOptions, rejection: Rejection, reply: FastifyReply): FastifyReply {
  options.log.warn({ code: rejection.code, reason: rejection.message }, 'Signed delivery refused.');
  return refuse(reply, rejection.status, { error: rejection.message, code: rejection.code });
}

interface BadSignature {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly budget: ReturnType<FastifyInstance['createRateLimit']>;
}

/**
 * 401 with a line in the log; past the budget of the address 429 and none. Only bad signatures are counted, after the fact, so that GitHub
 * is answered however many strangers share its address (all of them do behind a proxy that hides it).
 */
async function refuseSignature(
  options: WebhookRouteOptions,
  rejection: Rejection,
  { request, reply, budget }: BadSignature,
): Promise<FastifyReply> {
  const spent = await budget(request);
  if (!spent.isAllowed && spent.isExceeded) {
    reply.header('retry-after', String(spent.ttlInSeconds));
    return refuse(reply, 429, { error: 'Too many invalid signatures', code: 'too_many_bad_signatures' });
  }
  options.log.warn({ address: request.ip, code: rejection.code }, 'Delivery with an invalid signature refused.');
  return refuse(reply, 401, { error: rejection.message, code: rejection.code });
}
