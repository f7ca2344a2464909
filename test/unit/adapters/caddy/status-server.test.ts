/** What Caddy is answered for a preview that does not answer: a page for browsers, a line for programs. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openStatusServer, type StatusPage } from '../../../../webhook/adapters/caddy/status-server.ts';
import { parseSlug } from '../../../../webhook/core/names.ts';
import { silentLog } from '../../../support/silent-log.ts';

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(socketPath: string, host: string, accept: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request({ socketPath, headers: { host, accept }, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    })
      .on('error', reject)
      .end();
  });
}

test('a browser gets the page, a program the line, and neither is told to ask again where that does not help', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-status-'));
  t.after(() => rmSync(folder, { recursive: true }));
  let page: StatusPage = {
    status: 503,
    html: '<p>setup</p>',
    text: 'Running the setup.',
    retryAfterSeconds: 2,
    contentSecurityPolicy: "default-src 'none'",
  };
  const socket = join(folder, 'status.sock');
  const close = await openStatusServer({
    socket,
    domain: 'preview.test',
    slugOf: (label) => (label === 'shop-1' ? parseSlug(label) : null),
    statusPage: () => Promise.resolve(page),
    log: silentLog,
  });
  t.after(close);
  const seen = async (host: string, accept: string) => {
    const { status, headers, body } = await ask(socket, host, accept);
    return [status, headers['content-type']?.split(';')[0], headers['retry-after'], body];
  };
  assert.deepEqual(await seen('shop-1.preview.test', 'text/html'), [503, 'text/html', '2', '<p>setup</p>']);
  assert.deepEqual(await seen('shop-1.preview.test', '*/*'), [503, 'text/plain', '2', 'Running the setup.\n']);
  page = { ...page, text: 'The setup failed.', retryAfterSeconds: null };
  assert.deepEqual(await seen('shop-1.preview.test', 'text/html'), [503, 'text/html', undefined, '<p>setup</p>']);
  assert.deepEqual(await seen('shop-1.preview.test', '*/*'), [503, 'text/plain', undefined, 'The setup failed.\n']);
  const unknown = 'The preview does not answer yet.\n';
  assert.deepEqual(await seen('other.preview.test', 'text/html'), [503, 'text/plain', '2', unknown]);
});
