/**
 * What of a message's headers passes through the gateway. Each connection has headers of its own (RFC 9110 section 7.6.1); who the
 * client is and how it came is ours to say, whatever it claims. Headers are flat lists, name and value in turn, as Node and undici
 * have them: nothing is merged, reordered or renamed.
 */
import type { IncomingMessage } from 'node:http';

/** Of one connection alone; the framing among them is written anew on the other side. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What a `Connection` header may not take away: without them the message would mean something else to the app than to us. */
const KEPT = new Set(['host', 'content-length', 'cookie', 'authorization']);

/** Claims about the client that only we may make. Express, Rails, Django and others believe one or another of them. */
const CLAIMS =
  /^(?:forwarded|x-forwarded-.+|x-real-ip|x-client-ip|x-original-.+|x-rewrite-url|true-client-ip|cf-connecting-ip)$/;

/** Names in a Connection header, lower case; almost always none besides close, keep-alive and upgrade. */
function namedByConnection(connection: string): Set<string> {
  return new Set(connection.split(',').map((part) => part.trim().toLowerCase()));
}

/** The request's headers as the app gets them. */
export function requestHeaders(request: IncomingMessage, scheme: 'http' | 'https'): string[] {
  const { rawHeaders, headers } = request;
  const named = namedByConnection(headers.connection ?? '');
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const lower = name.toLowerCase();
    // Node has answered 100 Continue already; a second one would have nobody to read it. The host is added below.
    if (lower === 'host' || lower === 'expect' || HOP_BY_HOP.has(lower) || CLAIMS.test(lower)) continue;
    if (named.has(lower) && !KEPT.has(lower)) continue;
    kept.push(name, rawHeaders[at + 1] ?? '');
  }
  const host = headers.host ?? '';
  const address = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  kept.push('host', host, 'x-forwarded-for', address, 'x-forwarded-host', host, 'x-forwarded-proto', scheme);
  return kept;
}

/** The app's response headers as the client gets them. A preview is nobody's search result, whatever the app says. */
export function responseHeaders(raw: readonly (Buffer | string)[]): string[] {
  const all = raw.map((each) => (typeof each === 'string' ? each : each.toString('latin1')));
  const named = new Set<string>();
  for (let at = 0; at < all.length; at += 2)
    if (all[at]?.toLowerCase() === 'connection')
      for (const name of namedByConnection(all[at + 1] ?? '')) named.add(name);
  const kept: string[] = ['x-robots-tag', 'noindex'];
  for (let at = 0; at + 1 < all.length; at += 2) {
    const name = all[at] ?? '';
    const lower = name.toLowerCase();
    if (lower === 'x-robots-tag' || HOP_BY_HOP.has(lower) || (named.has(lower) && !KEPT.has(lower))) continue;
    kept.push(name, all[at + 1] ?? '');
  }
  return kept;
}

export function hasBody(request: IncomingMessage): boolean {
  const { headers } = request;
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

/**
 * Whether a request may be sent twice: by RFC 9110 section 9.2.2 an idempotent method, and no body that has been read already. Only
 * these travel on kept connections, which the app may close at the very moment of sending; all others get a connection of their own.
 */
export function isRepeatable(request: IncomingMessage): boolean {
  const { method } = request;
  const isIdempotent =
    method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'PUT' || method === 'DELETE';
  return isIdempotent && !hasBody(request);
}
