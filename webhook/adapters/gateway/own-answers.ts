/** What the gateway says in its own name, when no app answers. Small, without outside text: nothing here needs escaping. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

export interface OwnAnswer {
  readonly status: number;
  readonly title: string;
  readonly text: string;
  /** Seconds after which it may be better; browsers look again by themselves. */
  readonly retryAfter?: number;
}

export const BAD_REQUEST: OwnAnswer = {
  status: 400,
  title: 'Bad request',
  text: 'This is not a request that we understand.',
};
export const NO_SUCH_PREVIEW: OwnAnswer = {
  status: 404,
  title: 'No preview here',
  text: 'No preview has this address. It may have been closed with its pull request.',
};
export const NO_SUCH_PATH: OwnAnswer = {
  status: 404,
  title: 'No route here',
  text: 'The preview declares no route for this path.',
};
export const NOT_UP_YET: OwnAnswer = {
  status: 503,
  title: 'Not up yet',
  text: 'The preview does not answer yet.',
  retryAfter: 2,
};
export const APP_AWAY: OwnAnswer = {
  status: 502,
  title: 'The app does not answer',
  text: 'The preview is there, but its app did not answer this request. It may be restarting.',
  retryAfter: 3,
};

/** Headers of all pages of our own: never kept, never framed, never indexed, and able to load nothing. */
export const OWN_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
} as const;

/** Whether a page makes sense to whoever asks: a browser going somewhere, not a script or a program. */
export function wantsPage(request: IncomingMessage): boolean {
  const isReading = request.method === 'GET' || request.method === 'HEAD';
  return isReading && (request.headers.accept ?? '').includes('text/html');
}

/** Answers with a page or one line of text, whichever fits the request. */
export function answer(request: IncomingMessage, response: ServerResponse, own: OwnAnswer): void {
  const isPage = wantsPage(request);
  // Who cannot say what they want is not asked again on the same connection.
  if (own.status === 400) response.shouldKeepAlive = false;
  const body = isPage ? pageOf(own) : `${own.text}\n`;
  response.writeHead(own.status, {
    ...OWN_HEADERS,
    'content-type': isPage ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...(own.retryAfter === undefined ? {} : { 'retry-after': String(own.retryAfter) }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** The same on a bare socket: after an upgrade request, or when the request could not be parsed at all. Closes it. */
export function answerOnSocket(socket: Duplex, own: OwnAnswer): void {
  // Node has let go of the socket: its errors are ours, and nobody's concern.
  socket.on('error', () => undefined);
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = `${own.text}\n`;
  socket.end(
    [
      `HTTP/1.1 ${own.status} ${own.title}`,
      'Connection: close',
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'X-Robots-Tag: noindex',
      '',
      body,
    ].join('\r\n'),
    () => socket.destroy(),
  );
}

function pageOf(own: OwnAnswer): string {
  const refresh = own.retryAfter === undefined ? '' : `<meta http-equiv="refresh" content="${own.retryAfter}">`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${refresh}
<title>${own.title}</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem }
  h1 { font-size: 1.25rem; margin: 0 0 .5rem }
  p { margin: 0; opacity: .75 }
</style>
<h1>${own.title}</h1>
<p>${own.text}</p>
</html>
`;
}
