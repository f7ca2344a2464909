/**
 * What of a message's headers passes through the gateway. Each connection has headers of its own (RFC 9110 section 7.6.1); who the
 * client is and how it came is ours to say, whatever it claims.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** RFC 9110 section 7.6.1 and the two that came before it. Framing (transfer-encoding, content-length) is the proxy library's. */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade'];

/** What a `Connection` header may not take away: without them the message would mean something else to the app than to us. */
const KEPT = new Set(['host', 'content-length', 'transfer-encoding', 'cookie', 'authorization']);

/** Claims about the client that only we may make. Express, Rails, Django and others believe one or another of them. */
const CLAIMS =
  /^(?:forwarded|x-forwarded-.+|x-real-ip|x-client-ip|x-original-.+|x-rewrite-url|true-client-ip|cf-connecting-ip)$/;

/** Removes the headers of one connection, and what its Connection header names, in place. */
export function removeHopByHop(headers: IncomingHttpHeaders): void {
  const { connection } = headers;
  if (connection !== undefined) {
    for (const part of connection.split(',')) {
      const name = part.trim().toLowerCase();
      if (!KEPT.has(name)) delete headers[name];
    }
  }
  for (const name of HOP_BY_HOP) delete headers[name];
}

/** Makes the request's headers fit to pass on, in place, and returns those that are ours to add. */
export function prepareRequestHeaders(request: IncomingMessage, scheme: 'http' | 'https'): Record<string, string> {
  const { headers } = request;
  removeHopByHop(headers);
  for (const name of Object.keys(headers)) if (CLAIMS.test(name)) delete headers[name];
  // Node has answered 100 Continue already; a second one would have nobody to read it.
  delete headers.expect;
  return {
    'x-forwarded-for': (request.socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
    'x-forwarded-host': headers.host ?? '',
    'x-forwarded-proto': scheme,
  };
}

/** A preview is nobody's search result, whatever the app says. */
export function prepareResponseHeaders(headers: IncomingHttpHeaders): void {
  removeHopByHop(headers);
  // The message is framed anew for the client: what is left of the body's length is in content-length, or Node sends chunks.
  delete headers['transfer-encoding'];
  headers['x-robots-tag'] = 'noindex';
}

/**
 * Whether a request may be sent twice: by RFC 9110 section 9.2.2 an idempotent method, and no body that has been read already. Only
 * these travel on kept connections, which the app may close at the very moment of sending; all others get a connection of their own.
 */
export function isRepeatable(request: IncomingMessage): boolean {
  const { method, headers } = request;
  const isIdempotent =
    method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'PUT' || method === 'DELETE';
  return isIdempotent && headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
}
