/**
 * What Caddy asks when a preview does not answer: a unix socket beside the route files, which Caddy's group may open, where the operator shows the
 * preview's status page. While the operator is away Caddy has a page of its own (server-config/modules/ingress).
 */
import { once } from 'node:events';
import { chmod, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Slug } from '../../core/names.ts';
import type { Log } from '../../ports.ts';

/** The page of a preview that does not answer. */
export interface StatusPage {
  readonly status: number;
  readonly html: string;
  /** The same in one line, for programs. */
  readonly text: string;
  /** Null where nothing comes of waiting. */
  readonly retryAfterSeconds: number | null;
  readonly contentSecurityPolicy: string;
}

interface StatusServer {
  readonly socket: string;
  readonly domain: string;
  readonly slugOf: (label: string) => Slug | null;
  readonly statusPage: (slug: Slug) => Promise<StatusPage>;
  readonly log: Log;
}

/** Its record is just being made. */
const UNKNOWN_RETRY_AFTER_SECONDS = 2;

/** Listens; what is returned stops it. */
export async function openStatusServer(options: StatusServer): Promise<() => Promise<void>> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      options.log.warn({ reason: (error as Error).message }, 'no status page');
      // Caddy takes this for an operator that is away.
      response.destroy();
    });
  });
  // A socket of a process that was killed lies there until the next one replaces it.
  await rm(options.socket, { force: true });
  server.listen(options.socket);
  await once(server, 'listening');
  await chmod(options.socket, 0o660);
  return async () => {
    server.close();
    server.closeAllConnections();
    await rm(options.socket, { force: true });
  };
}

async function answer(options: StatusServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume();
  const name = (request.headers.host ?? '').replace(/:\d+$/, '');
  const label = name.endsWith(`.${options.domain}`) ? name.slice(0, -options.domain.length - 1) : '';
  const slug = options.slugOf(label);
  const isReading = request.method === 'GET' || request.method === 'HEAD';
  const page = slug === null ? null : await options.statusPage(slug);
  const isPage = page !== null && isReading && (request.headers.accept ?? '').includes('text/html');
  const body = isPage ? page.html : `${page?.text ?? 'The preview does not answer yet.'}\n`;
  const retryAfterSeconds = page === null ? UNKNOWN_RETRY_AFTER_SECONDS : page.retryAfterSeconds;
  response.writeHead(page?.status ?? 503, {
    'cache-control': 'no-store',
    'content-type': isPage ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'content-security-policy': page?.contentSecurityPolicy ?? "default-src 'none'",
    'referrer-policy': 'no-referrer',
    ...(retryAfterSeconds === null ? {} : { 'retry-after': String(retryAfterSeconds) }),
    'x-content-type-options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
