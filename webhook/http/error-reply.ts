import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';
import { operatorErrorFrom } from '../core/errors.ts';
import type { Log } from '../ports.ts';

declare module 'fastify' {
  interface FastifyReply {
    /** One word for what was answered, for the metrics; decorated in server.ts. */
    answer: string;
  }
}

/** A body of every error that this listener answers with. `error` is for people, `code` for programs. */
export interface ErrorBody {
  readonly error: string;
  readonly code: string;
}

/** Where the other side told us no better moment: the embedded PostgreSQL is back within a second or two after a restart. */
const RETRY_AFTER_DEFAULT_S = 5;

/**
 * Refuses a request. The connection is closed afterwards: whoever sends us nonsense gets no more out of a connection than one answer, and a
 * body that was not read to its end cannot be taken for the next request.
 */
export function refuse(reply: FastifyReply, status: number, body: ErrorBody): FastifyReply {
  reply.answer = body.code;
  return reply.code(status).header('connection', 'close').send(body);
}

/** Refuses for now: the sender may come back after `retryAfterMs`. */
function refuseForNow(reply: FastifyReply, body: ErrorBody, retryAfterMs?: number): FastifyReply {
  const seconds = retryAfterMs === undefined ? RETRY_AFTER_DEFAULT_S : Math.ceil(retryAfterMs / 1_000);
  reply.header('retry-after', String(Math.max(1, seconds)));
  return refuse(reply, 503, body);
}

/**
 * The answer to an error that was thrown while a request was handled. What may pass is 503 with Retry-After; what Fastify found wrong with the request
 * keeps its status; anything else is 500, with a neutral text outside and the whole chain in the log.
 */
export function replyToError(log: Log, thrown: unknown, reply: FastifyReply): FastifyReply {
  const status = statusOf(thrown);
  if (status === 503) return refuseForNow(reply, bodyOfStatus(status));
  if (status !== null) return refuse(reply, status, bodyOfStatus(status));

  const error = operatorErrorFrom(thrown);
  log.error({ error }, 'A request could not be handled.');
  const body = { error: error.message, code: error.code };
  if (error.code !== 'INTERNAL' && error.retry === 'later') return refuseForNow(reply, body, error.retryAfterMs);
  return refuse(reply, 500, body);
}

/** `{"error": "Not Found", "code": "not_found"}` and the like. */
export function bodyOfStatus(status: number): ErrorBody {
  const error = STATUS_CODES[status] ?? 'Bad Request';
  return { error, code: error.toLowerCase().replaceAll(' ', '_') };
}

/** The status that Fastify, or our reading of the body, gave the error. */
export function statusOf(thrown: unknown): number | null {
  const status = thrown instanceof Error && 'statusCode' in thrown ? thrown.statusCode : null;
  return typeof status === 'number' && ((status >= 400 && status < 500) || status === 503) ? status : null;
}
