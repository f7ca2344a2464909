/** Asks hostd over its unix socket: one request a connection, one line of JSON each way (hostd/server.ts is the other end). */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import { isErrorCode, OperatorError } from '../../core/errors.ts';
import type { HostDaemon, HostRequest } from '../../core/host-verbs.ts';

const replySchema = z.union([
  z.strictObject({ line: z.string() }),
  z.strictObject({ result: z.unknown() }),
  z.strictObject({ error: z.strictObject({ code: z.string(), message: z.string(), detail: z.string().nullable() }) }),
]);

/** hostd at this socket. Every call is a connection of its own, so that closing it ends the work. */
export function hostDaemonAt(socketPath: string): HostDaemon {
  return {
    // The result's shape is hostd's promise for this verb; both ends are built from core/host-verbs.ts.
    ask: async (request, options = {}) => (await exchange(socketPath, request, options)) as never,
  };
}

interface ExchangeOptions {
  signal?: AbortSignal;
  onLine?: (line: string) => void | Promise<void>;
  lines?: AsyncIterable<string>;
}

async function exchange(
  socketPath: string,
  request: HostRequest,
  { signal, onLine, lines }: ExchangeOptions,
): Promise<unknown> {
  signal?.throwIfAborted();
  const socket = connect(socketPath);
  const end = () => socket.destroy();
  signal?.addEventListener('abort', end);
  try {
    // A socket that is destroyed while it connects says neither `connect` nor `error`.
    await once(socket, 'connect', signal === undefined ? {} : { signal });
    socket.write(`${JSON.stringify(request)}\n`);
    if (lines !== undefined) void sendLines(socket, lines).catch(() => socket.destroy());
    return await reply(socket, onLine);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof OperatorError) throw error;
    throw new OperatorError('RUNTIME_FAILED', 'The privileged helper of the host does not answer.', {
      hint: 'Start it with `systemctl start berth-hostd`; it is tried again by itself.',
      cause: error,
    });
  } finally {
    signal?.removeEventListener('abort', end);
    socket.destroy();
  }
}

async function sendLines(socket: Socket, lines: AsyncIterable<string>): Promise<void> {
  for await (const line of lines) if (!socket.write(`${line}\n`)) await once(socket, 'drain');
}

async function reply(socket: Socket, onLine: ExchangeOptions['onLine']): Promise<unknown> {
  for await (const text of linesOf(socket)) {
    const message = replySchema.parse(JSON.parse(text));
    if ('line' in message) {
      await onLine?.(message.line);
      continue;
    }
    if ('result' in message) return message.result;
    const { code, message: reason, detail } = message.error;
    throw new OperatorError(isErrorCode(code) ? code : 'RUNTIME_FAILED', reason, detail === null ? {} : { detail });
  }
  throw new Error('hostd closed the connection without an answer');
}

/** Not readline's: that one waits for ever when the socket is destroyed under it. */
async function* linesOf(socket: Socket): AsyncIterable<string> {
  let rest = '';
  socket.setEncoding('utf8');
  for await (const chunk of socket as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
