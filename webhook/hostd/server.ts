/** hostd's unix socket: one request a connection, one line of JSON each way; closing the connection ends the work. */
import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { operatorErrorFrom, OperatorError } from '../core/errors.ts';
import { HOST_REQUEST_MAX_BYTES, hostRequestSchema, type HostReply, type HostRequest } from '../core/host-verbs.ts';

/** Does what a request asks. `signal` fires when the caller is gone; `onLine` hands a line to it. */
export type Perform = (request: HostRequest, signal: AbortSignal, onLine: (line: string) => void) => Promise<unknown>;

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
    const request = parsedRequest(await requestLine(connection));
    // A slow reader of a long journal is waited for by dropping lines, never by holding them all.
    const onLine = (line: string) => {
      if (connection.writableLength < HOST_REQUEST_MAX_BYTES) reply({ line });
    };
    const result = await perform(request, gone.signal, onLine);
    reply({ result: result ?? null });
  } catch (error) {
    const { code, message, detail } = operatorErrorFrom(error);
    if (code === 'INTERNAL') console.error(error);
    reply({ error: { code, message, detail: detail ?? null } });
  }
  connection.end();
}

async function requestLine(connection: Socket): Promise<string> {
  let text = '';
  connection.setEncoding('utf8');
  for await (const chunk of connection.iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
    text += chunk;
    if (text.length > HOST_REQUEST_MAX_BYTES) throw new OperatorError('BAD_REQUEST', 'The request is too large.');
    if (text.includes('\n')) break;
  }
  // Keeps the stream flowing, so that the end of the connection is noticed.
  connection.resume();
  return text;
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
