import { chmodSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { fastify, type FastifyInstance, type FastifyReply } from 'fastify';
import { OperatorError, operatorErrorFrom, type ErrorCode } from '../core/errors.ts';
import type { Operator } from '../ports.ts';
import { apiRoutes, errorView } from './api-routes.ts';
import { commandRoutes } from './command-routes.ts';

/** The longest request is a repository and a branch. */
const BODY_MAX_BYTES = 16 * 1024;
/** Whoever asks is on this machine: a request that takes longer to arrive is none. */
const RECEIVE_TIMEOUT_MS = 10_000;

/** The operators' API, not yet listening. `close()` ends streams that are being followed. */
export function buildApiServer(op: Operator): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: BODY_MAX_BYTES,
    requestTimeout: RECEIVE_TIMEOUT_MS,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 1_000 },
    // A path that cannot be decoded reaches no route and no error handler.
    frameworkErrors: (thrown, _request, reply) => {
      const untyped: FastifyReply = reply;
      untyped.code(400).send(errorView(clientError(thrown) ?? operatorErrorFrom(thrown)));
    },
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send(errorView(new OperatorError('BAD_REQUEST', 'There is no such request.'))),
  );
  app.setErrorHandler((thrown, request, reply) => {
    const error = clientError(thrown) ?? operatorErrorFrom(thrown);
    if (error.code === 'INTERNAL')
      op.log.error(
        { err: error.cause ?? error, method: request.method, url: request.url },
        'a request of an operator could not be handled',
      );
    return reply.code(statusOf(error)).send(errorView(error, request));
  });
  apiRoutes(app, op);
  commandRoutes(app, op);
  return app;
}

/** What Fastify itself finds wrong with a request (not JSON, too large) as an error of ours. */
function clientError(thrown: unknown): OperatorError | null {
  const status = thrown instanceof Error && 'statusCode' in thrown ? thrown.statusCode : null;
  return typeof status === 'number' && status >= 400 && status < 500
    ? new OperatorError('BAD_REQUEST', 'The request is not one that we understand.', { cause: thrown })
    : null;
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  BAD_REQUEST: 400,
  REPOSITORY_NOT_ALLOWED: 403,
  PREVIEW_NOT_FOUND: 404,
  NO_SUCH_BRANCH: 404,
  PREVIEW_EXISTS: 409,
  NOTHING_TO_ROLL_BACK: 409,
  PREVIEW_NOT_RUNNING: 409,
  COMMAND_REFUSED: 409,
  INTERNAL: 500,
};

function statusOf(error: OperatorError): number {
  return STATUS[error.code] ?? (error.retry === 'later' ? 503 : 500);
}

/**
 * Listens on a unix socket that only we can reach: its directory is made with mode 0700 and the socket has 0600. What is left of an operator that
 * was killed is replaced; a socket that answers is not. Throws OPERATOR_ALREADY_RUNNING, or CONFIG_INVALID for a directory that others may enter or that
 * cannot hold it.
 */
export async function listenOnSocket(app: FastifyInstance, path: string): Promise<void> {
  const directory = dirname(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw socketError(`${directory} cannot be made`, error);
  }
  const { uid, mode } = statSync(directory);
  if (uid !== process.geteuid?.() || (mode & 0o077) !== 0) {
    const message = `operator.socket: ${directory} can be entered by others. Name a socket in a directory of its own with mode 0700.`;
    throw new OperatorError('CONFIG_INVALID', message);
  }
  await removeStaleSocket(path);
  await app.listen({ path }).catch((error: unknown) => {
    throw socketError(`cannot listen on ${path}`, error);
  });
  chmodSync(path, 0o600);
}

function socketError(what: string, error: unknown): OperatorError {
  const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  const message = `operator.socket: ${what} (${reason}). Name a socket in a directory that this user may write to.`;
  return new OperatorError('CONFIG_INVALID', message, { cause: error });
}

async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket())
    throw new OperatorError('CONFIG_INVALID', `operator.socket: ${path} exists and is not a socket.`);
  if (await isAnswered(path))
    throw new OperatorError('OPERATOR_ALREADY_RUNNING', `An operator answers on ${path} already.`);
  rmSync(path, { force: true });
}

function isAnswered(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path, () => resolve(true));
  socket.on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
