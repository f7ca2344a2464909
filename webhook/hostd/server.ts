/** hostd's unix socket: one request a connection, one line of JSON each way; closing the connection ends the work. */
import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { operatorErrorFrom, OperatorError } from '../core/errors.ts';
import { HOST_REQUEST_MAX_BYTES, hostRequestSchema, type HostReply, type HostRequest } from '../core/host-verbs.ts';

/** Whoever asks. */
export interface Caller {
  /** Fires when the caller is gone. */
  readonly signal: AbortSignal;
  /** Hands a line to the caller; a slow one loses lines. */
  onLine(line: string): void;
  /** Hands a line to the caller, and resolves when it keeps up. */
  send(line: string): Promise<void>;
  /** What it says after its request. */
  readonly lines: AsyncIterable<string>;
}

/** Does what a request asks. */
export type Perform = (request: HostRequest, caller: Caller) => Promise<unknown>;

interface ServerSettings {
  readonly socket: string;
  readonly operatorGid: number;
}

/** Only root and the operator's group can connect: the socket's directory and the socket are closed to all others. */
export async function serve(settings: ServerSettings, perform: Perform): Promise<Server> {
  const directory = dirname(settings.socket);
  await mkdir(directory, { recursive: true });
  await chown(directory, 0, settings.operatorGid);
  await chmod(directory, 0o750);
  await rm(settings.socket, { force: true });
  const server = createServer((connection) => void answer(connection, perform));
  server.listen(settings.socket);
  await once(server, 'listening');
  await chown(settings.socket, 0, settings.operatorGid);
  await chmod(settings.socket, 0o660);
  return server;
}

async function answer(connection: Socket, perform: Perform): Promise<void> {
  const gone = new AbortController();
  connection.on('error', () => undefined);
  connection.on('close', () => gone.abort(new OperatorError('SHUTTING_DOWN', 'The caller has gone away.')));
  const reply = (message: HostReply) => {
    if (connection.writable) connection.write(`${JSON.stringify(message)}\n`);
  };
  try {
    const lines = linesOf(connection);
    const request = parsedRequest((await lines.next()).value ?? '');
    // Read also where nobody wants them, so that the end of the connection is noticed.
    if (request.verb !== 'run-inside') void drained(lines);
    const result = await perform(request, {
      signal: gone.signal,
      // A slow reader of a long journal is waited for by dropping lines, never by holding them all.
      onLine: (line) => {
        if (connection.writableLength < HOST_REQUEST_MAX_BYTES) reply({ line });
      },
      send: async (line) => {
        reply({ line });
        if (connection.writableNeedDrain) await once(connection, 'drain', { signal: gone.signal });
      },
      lines,
    });
    reply({ result: result ?? null });
  } catch (error) {
    const { code, message, detail } = operatorErrorFrom(error);
    if (code === 'INTERNAL') console.error(error);
    reply({ error: { code, message, detail: detail ?? null } });
  }
  connection.end();
}

async function* linesOf(connection: Socket): AsyncGenerator<string, undefined> {
  let rest = '';
  connection.setEncoding('utf8');
  for await (const chunk of connection.iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > HOST_REQUEST_MAX_BYTES) throw new OperatorError('BAD_REQUEST', 'The request is too large.');
    yield* lines;
  }
  // Whoever leaves the last line without its end.
  if (rest !== '') yield rest;
}

async function drained(lines: AsyncIterator<string>): Promise<void> {
  while ((await lines.next().catch(() => ({ done: true }))).done !== true);
}

function parsedRequest(line: string): HostRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new OperatorError('BAD_REQUEST', 'The request is not a line of JSON.');
  }
  const parsed = hostRequestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new OperatorError('BAD_REQUEST', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not a request'}`);
}
