/**
 * Client of the operators' API on the unix socket.
 *
 * It speaks HTTP/1.0 itself over node:net: then an answer is a head and everything until the end of the connection. Loading node:http takes
 * longer than all else that `preview list` does (30 ms of 55, `npm run bench -- commands`).
 */
import { connect, type Socket } from 'node:net';
import { isErrorCode, OperatorError } from '../core/errors.ts';

export interface OperatorApi {
  /** Asks and returns the answer's document. Throws the error that the operator answered with, or OPERATOR_UNREACHABLE. */
  ask<Answer>(method: Method, path: string, body?: object): Promise<Answer>;
  /** Asks for a stream of lines, with a body by POST. Ends when the operator says that it is over; throws when the connection breaks before. */
  follow<Line extends object>(path: string, body?: object): AsyncGenerator<Line>;
}

type Method = 'GET' | 'POST' | 'DELETE';

/** An operator that does not answer within this time does not work; reading a pull request from GitHub is the longest thing that it does for an answer. */
const ANSWER_TIMEOUT_MS = 60_000;
/** Head of an answer: a status line and six headers. */
const HEAD_MAX_LENGTH = 16 * 1024;

export function operatorApi(socketPath: string): OperatorApi {
  return {
    async ask<Answer>(method: Method, path: string, body?: object): Promise<Answer> {
      const answer = await request(socketPath, { method, path, body: body ?? null });
      let text = '';
      for await (const chunk of answer.chunks) text += chunk;
      return documentFrom(answer.status, text) as Answer;
    },

    async *follow<Line extends object>(path: string, body?: object): AsyncGenerator<Line> {
      const method = body === undefined ? 'GET' : 'POST';
      const answer = await request(socketPath, { method, path, body: body ?? null });
      let pending = '';
      for await (const chunk of answer.chunks) {
        const lines = (pending + chunk).split('\n');
        pending = lines.pop() ?? '';
        if (answer.status !== 200) continue;
        for (const line of lines) {
          const value = JSON.parse(line) as { end?: boolean; error?: unknown };
          if (value.error !== undefined) throw errorFrom(value);
          if (value.end === true) return;
          yield value as Line;
        }
      }
      if (answer.status !== 200) throw errorFrom(documentFrom(answer.status, pending));
      throw brokenOff();
    },
  };
}

async function request(
  socketPath: string,
  asked: { method: Method; path: string; body: object | null },
): Promise<{ status: number; chunks: AsyncIterable<string> }> {
  const socket = await connected(socketPath);
  socket.setEncoding('utf8');
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(brokenOff()));
  const body = asked.body === null ? '' : JSON.stringify(asked.body);
  const head = [
    `${asked.method} ${asked.path} HTTP/1.0`,
    'Host: operator',
    ...(asked.body === null ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]),
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);

  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<string>;
  let text = '';
  while (!text.includes('\r\n\r\n')) {
    const { value, done } = await chunks.next().catch((error: unknown) => {
      throw error instanceof OperatorError ? error : brokenOff();
    });
    if (done === true || text.length > HEAD_MAX_LENGTH) throw brokenOff();
    text += value;
  }
  const end = text.indexOf('\r\n\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(text)?.[1] ?? Number.NaN);
  // A stream that is being followed may be silent for hours.
  socket.setTimeout(0);
  return { status, chunks: withFirst(text.slice(end + 4), chunks, socket) };
}

async function* withFirst(first: string, rest: AsyncIterator<string>, socket: Socket): AsyncGenerator<string> {
  try {
    if (first !== '') yield first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } catch (error) {
    throw error instanceof OperatorError ? error : brokenOff();
  } finally {
    socket.destroy();
  }
}

function connected(socketPath: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(socketPath);
  const failed = (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error.code));
  socket.once('error', failed);
  socket.once('connect', () => {
    socket.off('error', failed);
    resolve(socket);
  });
  return promise;
}

function unreachable(socketPath: string, code: string | undefined): OperatorError {
  if (code === 'EACCES' || code === 'EPERM') {
    const hint = 'Only the user that the operator runs as, and root, may talk to it: try with sudo.';
    return new OperatorError('OPERATOR_UNREACHABLE', `You may not open ${socketPath}.`, { hint });
  }
  return new OperatorError('OPERATOR_UNREACHABLE', `No operator answers on ${socketPath}.`);
}

function brokenOff(): OperatorError {
  const hint = 'Has it been stopped? What was asked for is stored and goes on when it is back.';
  return new OperatorError('OPERATOR_UNREACHABLE', 'The operator broke off in the middle of its answer.', { hint });
}

function documentFrom(status: number, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw brokenOff();
  }
  if (!(status >= 200 && status < 300)) throw errorFrom(value);
  return value;
}

/** The operator's error as it was thrown there. A code that this version does not know keeps its words. */
function errorFrom(value: unknown): OperatorError {
  const error = (value as { error?: Partial<Record<'code' | 'message' | 'hint', string>> } | null)?.error;
  const code = error?.code ?? '';
  const hint = error?.hint === undefined ? {} : { hint: error.hint };
  return new OperatorError(isErrorCode(code) ? code : 'INTERNAL', error?.message ?? 'The operator refused.', hint);
}
