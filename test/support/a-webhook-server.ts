import type { FastifyInstance } from 'fastify';
import { connect, type AddressInfo } from 'node:net';
import { createWebhookSource } from '../../webhook/adapters/github/webhook-source.ts';
import { createLog } from '../../webhook/adapters/logging/pino-log.ts';
import type { PullRequestEvent } from '../../webhook/core/pull-request.ts';
import { createMetrics, type Metrics } from '../../webhook/http/metrics.ts';
import { buildWebhookServer, type HttpLimits } from '../../webhook/http/server.ts';
import type { Acceptance, Intake } from '../../webhook/ports.ts';
import { signedRequest } from './fake-github/deliveries.ts';

export const SECRET = 'a-webhook-secret-of-the-tests-0123456789';
export const PREVIOUS_SECRET = 'the-secret-before-the-rotation-0123456789';

export interface WebhookServerOptions {
  readonly intake?: Pick<Intake, 'accept'> & Partial<Intake>;
  readonly isReady?: () => Promise<boolean>;
  readonly metrics?: Partial<Metrics>;
  readonly limits?: Partial<HttpLimits>;
  readonly repositories?: readonly string[];
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

/** The webhook's listener as it is in production, on a port of its own. Every log line is kept, for a look at what is in it. */
export class AWebhookServer implements AsyncDisposable {
  readonly app: FastifyInstance;
  /** What was taken in, when the test brought no intake of its own. */
  readonly accepted: ReadonlyMap<string, PullRequestEvent>;
  readonly logText: () => string;

  private constructor(app: FastifyInstance, accepted: MemoryIntake['accepted'], logText: () => string) {
    this.app = app;
    this.accepted = accepted;
    this.logText = logText;
  }

  static async start(options: WebhookServerOptions = {}): Promise<AWebhookServer> {
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const log = createLog({ level: 'debug', secrets: [SECRET, PREVIOUS_SECRET], destination });
    const policy = { repositories: options.repositories ?? ['acme/*', 'codertocat/hello-world'], drafts: true };
    const memory = new MemoryIntake();
    const app = await buildWebhookServer({
      source: createWebhookSource({ secrets: [SECRET, PREVIOUS_SECRET], policy }),
      intake: { accept: (id, event) => memory.accept(id, event), doubtComment, ...options.intake },
      isReady: options.isReady ?? (() => Promise.resolve(true)),
      metrics: { ...createMetrics({ store: { list: () => Promise.resolve([]) }, log }), ...options.metrics },
      log,
      limits: { badSignaturesPerMinute: 1_000_000, ...options.limits },
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    return new AWebhookServer(app, memory.accepted, () => lines.join(''));
  }

  get port(): number {
    return (this.app.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A webhook request, signed as GitHub does unless the headers say otherwise. A header of undefined is left out. */
  async deliver(
    body: string | Buffer | object,
    options: { event?: string; secret?: string; guid?: string; headers?: Record<string, string | undefined> } = {},
  ): Promise<Reply> {
    const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const { event = 'pull_request', secret = SECRET, guid } = options;
    const request = signedRequest(bytes, { secret, event, ...(guid === undefined ? {} : { guid }) });
    const given = { ...request.headers, ...options.headers };
    const headers = Object.fromEntries(
      Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    return this.fetch('/webhook/github', { ...request, headers, body: Buffer.from(bytes) });
  }

  async fetch(path: string, init: RequestInit = {}): Promise<Reply> {
    const answer = await fetch(`${this.url}${path}`, init);
    const text = await answer.text();
    const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true;
    return { status: answer.status, headers: answer.headers, body: isJson ? (JSON.parse(text) as unknown) : text };
  }

  /** Bytes as they are, on a connection of their own: what comes back until the server closes it, or the text when it is long enough. */
  async raw(bytes: string | Buffer, options: { waitMs?: number } = {}): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    let received = '';
    const socket = connect(this.port, '127.0.0.1');
    const timer = setTimeout(() => socket.destroy(), options.waitMs ?? 3_000);
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(received);
    });
    socket.write(bytes);
    return promise;
  }

  async close(): Promise<void> {
    this.app.server.closeAllConnections();
    await this.app.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** No comment is ours: which ones are is in PostgreSQL. */
const doubtComment = () => Promise.resolve(false);

/** For tests of the HTTP side alone; what is durable is tested with PostgreSQL. */
class MemoryIntake implements Pick<Intake, 'accept'> {
  readonly accepted = new Map<string, PullRequestEvent>();

  accept(deliveryId: string, event: PullRequestEvent): Promise<Acceptance> {
    if (this.accepted.has(deliveryId)) return Promise.resolve('duplicate');
    this.accepted.set(deliveryId, event);
    return Promise.resolve('accepted');
  }
}

/** The smallest pull_request payload that we read, with changes by path: `{ 'pull_request.head.sha': 'x' }`; undefined removes. */
export function payloadWith(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const payload = structuredClone(SMALLEST) as Record<string, unknown>;
  for (const [path, value] of Object.entries(changes)) {
    const names = path.split('.');
    const last = names.pop() ?? '';
    let holder = payload;
    for (const name of names) holder = holder[name] as Record<string, unknown>;
    if (value === undefined) delete holder[last];
    else holder[last] = value;
  }
  return payload;
}

const SMALLEST = {
  action: 'opened',
  number: 7,
  repository: { id: 42, full_name: 'acme/shop' },
  pull_request: {
    number: 7,
    state: 'open',
    head: { sha: '0123456789abcdef0123456789abcdef01234567', ref: 'feature', repo: { id: 42 } },
    base: { repo: { id: 42 } },
  },
};
