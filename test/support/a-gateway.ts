/** A gateway on loopback with real apps behind it, and clients that say exactly what they want to say. */
import { mkdtempSync, rmSync } from 'node:fs';
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
} from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGateway, type Gateway, type GatewayOptions } from '../../webhook/adapters/gateway/gateway.ts';
import { extraHostLabel, hostLabelOf, instanceNameOf, parseSlug, type Slug } from '../../webhook/core/names.ts';
import type { Route } from '../../webhook/core/app-manifest.ts';
import type { PreviewRoute } from '../../webhook/core/preview-route.ts';
import type { Log } from '../../webhook/ports.ts';

/** A log that keeps its lines. */
export function aLog(): Log & { readonly lines: { level: string; fields: object; message: string }[] } {
  const lines: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), lines, child: () => log };
  return log;
}

export function slug(text: string): Slug {
  const parsed = parseSlug(text);
  if (parsed === null) throw new Error(`${text} is not a slug`);
  return parsed;
}

export interface AnApp extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  /** Connections open to it right now. */
  readonly sockets: ReadonlySet<Socket>;
}

/** An HTTP server on 127.0.0.1; all of its connections are cut at the end. */
export async function anApp(listener: RequestListener): Promise<AnApp> {
  const server = createServer(listener);
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    server,
    sockets,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An app that says its name. */
export function aNamedApp(name: string): Promise<AnApp> {
  return anApp((_request, response) => response.end(name));
}

export interface AGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly directory: string;
  readonly log: ReturnType<typeof aLog>;
}

export async function aGateway(options: Partial<GatewayOptions> = {}): Promise<AGateway> {
  const own = options.directory === undefined ? mkdtempSync(join(tmpdir(), 'berth-gateway-')) : null;
  const directory = options.directory ?? join(own ?? '', 'routes');
  const log = aLog();
  const gateway = await startGateway({
    directory,
    host: '127.0.0.1',
    port: 0,
    domain: 'localhost',
    scheme: 'http',
    publicPort: null,
    statusPage: (name) =>
      Promise.resolve({
        status: 503,
        html: `<!doctype html><title>status of ${name}</title>`,
        text: `The status of ${name}.`,
        retryAfterSeconds: 2,
      }),
    log,
    ...options,
  });
  return {
    gateway,
    directory,
    log,
    async [Symbol.asyncDispose]() {
      await gateway.close();
      if (own !== null) rmSync(own, { recursive: true });
    },
  };
}

interface ARouteOptions {
  /** Null shows the status page. */
  readonly slot?: number | null;
  /** Declared port → port of the app on loopback. */
  readonly ports: Readonly<Record<number, number>>;
  readonly routes?: readonly Partial<Route>[];
  readonly extraHosts?: Readonly<Record<string, readonly Partial<Route>[]>>;
}

export function aRoute(name: string, options: ARouteOptions): PreviewRoute {
  const [firstPort = 3_000] = Object.keys(options.ports).map(Number);
  const full = (routes: readonly Partial<Route>[]) =>
    routes.map((each) => ({ path: '/', port: firstPort, stripPrefix: false, ...each }));
  const slot = options.slot === undefined ? 1 : options.slot;
  return {
    slug: slug(name),
    hosts: [
      { label: hostLabelOf(slug(name)), routes: full(options.routes ?? [{}]) },
      ...Object.entries(options.extraHosts ?? {}).map(([prefix, routes]) => ({
        label: extraHostLabel(prefix, slug(name)),
        routes: full(routes),
      })),
    ],
    answering:
      slot === null
        ? null
        : {
            instance: instanceNameOf(slot),
            upstreams: Object.fromEntries(
              Object.entries(options.ports).map(([port, actual]) => [port, { address: '127.0.0.1', port: actual }]),
            ),
          },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface AskOptions {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
  /** How to read the answer's body; latin1 keeps every byte. */
  readonly encoding?: 'utf8' | 'latin1';
}

/** One request with a connection of its own. `host` is the Host header, word for word. */
export function ask(port: number, host: string, options: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      host: '127.0.0.1',
      port,
      agent: false,
      method: options.method ?? 'GET',
      path: options.path ?? '/',
      headers: { ...options.headers, host },
      setHost: false,
    });
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(options.encoding),
        }),
      );
    });
    request.end(options.body);
  });
}

/** Sends bytes and returns all that comes back until the other side closes; it is an error when that takes longer than it ever should. */
export function askRaw(port: number, bytes: string | Buffer, limitMs = 5_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const reply = () => Buffer.concat(chunks).toString('latin1');
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const limit = setTimeout(() => {
      socket.destroy();
      reject(new Error(`still open after ${JSON.stringify(bytes.toString())}: ${JSON.stringify(reply())}`));
    }, limitMs);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.once('error', reject);
    socket.once('close', () => {
      clearTimeout(limit);
      resolve(reply());
    });
  });
}
