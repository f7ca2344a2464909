import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { aGateway, anApp, aRoute, ask, askRaw } from '../../../support/a-gateway.ts';

/** A gateway with one preview whose app keeps the heads of all requests that reach it. */
async function aWatchedPreview() {
  const seen: { method: string; url: string; headers: string[] }[] = [];
  const app = await anApp((request, response) => {
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.rawHeaders });
    request.resume();
    response.end('app');
  });
  const door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  return {
    seen,
    port: door.gateway.port,
    async [Symbol.asyncDispose]() {
      await door[Symbol.asyncDispose]();
      await app[Symbol.asyncDispose]();
    },
  };
}

const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`;

void test('the Host header decides, within a strict grammar', async () => {
  await using preview = await aWatchedPreview();
  const answers: [host: string, status: number][] = [
    ['shop-42.localhost', 200],
    ['SHOP-42.LocalHost', 200],
    ['shop-42.localhost.', 200],
    ['shop-42.localhost:80', 200],
    ['shop-42.localhost.:8080', 200],
    ['localhost', 404],
    ['localhost:80', 404],
    ['127.0.0.1', 404],
    ['[::1]', 404],
    ['[::1]:8080', 404],
    ['shop-42', 404],
    ['shop-42.localhost.example.com', 404],
    ['shop-42.example.com', 404],
    ['shop-42localhost', 404],
    ['a.shop-42.localhost', 404],
    ['shop_42.localhost', 404],
    ['__proto__.localhost', 404],
    ['constructor.localhost', 404],
    ['', 400],
    ['.localhost', 400],
    ['shop-42..localhost', 400],
    ['shop-42.localhost..', 400],
    ['shop-42.localhost:', 400],
    ['shop-42.localhost:99999999', 400],
    ['shop-42.localhost:http', 400],
    ['user@shop-42.localhost', 400],
    ['shop-42.localhost/x', 400],
    ['shop-42.localhost, other', 400],
    ['shop-42.localhost evil', 400],
    ['shop-42\t.localhost', 400],
    ['shop-42%2elocalhost', 400],
    ['shöp-42.localhost', 400],
    ['[::1', 400],
    ['[shop-42.localhost]', 400],
    [`${'a.'.repeat(2_000)}localhost`, 400],
  ];
  for (const [host, status] of answers) {
    const reply = await askRaw(
      preview.port,
      Buffer.from(head('GET / HTTP/1.1', `Host: ${host}`, 'Connection: close'), 'utf8'),
    );
    assert.equal(Number(reply.slice(9, 12)), status, JSON.stringify(host.slice(0, 60)));
    assert.match(reply, /x-robots-tag: noindex/i);
  }
});

void test('an absolute target overrules the Host header; other targets are refused', async () => {
  await using preview = await aWatchedPreview();
  const status = async (target: string, host: string) => {
    const reply = await askRaw(preview.port, head(`GET ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close'));
    return Number(reply.slice(9, 12));
  };
  assert.equal(await status('http://shop-42.localhost/a?b', 'nobody.localhost'), 200);
  assert.equal(await status('http://shop-42.localhost', 'x.example'), 200);
  assert.equal(await status('http://nobody.localhost/', 'shop-42.localhost'), 404);
  assert.equal(await status('http://u:p@shop-42.localhost/', 'shop-42.localhost'), 400);
  assert.equal(await status('ftp://shop-42.localhost/', 'shop-42.localhost'), 400);
  assert.deepEqual(
    preview.seen.map(({ url, headers }) => [url, headers[headers.findIndex((each) => /^host$/i.test(each)) + 1]]),
    [
      ['/a?b', 'shop-42.localhost'],
      ['/', 'shop-42.localhost'],
    ],
  );
  for (const line of ['OPTIONS * HTTP/1.1', 'CONNECT shop-42.localhost:80 HTTP/1.1']) {
    const reply = await askRaw(preview.port, head(line, 'Host: shop-42.localhost', 'Connection: close'));
    assert.match(reply, /^HTTP\/1\.1 400 /, line);
  }
  assert.equal(preview.seen.length, 2);
});

void test('requests that two readers could take for different ones reach no app', async () => {
  await using preview = await aWatchedPreview();
  const post = (...lines: string[]) => head('POST / HTTP/1.1', 'Host: shop-42.localhost', ...lines);
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: shop-42.localhost\r\n\r\n';
  const shapes = [
    `${post('Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n${smuggled}`,
    `${post('Transfer-Encoding: chunked', 'Content-Length: 4')}0\r\n\r\n${smuggled}`,
    `${post('Content-Length: 0', 'Content-Length: 44')}${smuggled}`,
    `${post('Content-Length: 0, 44')}${smuggled}`,
    `${post('Content-Length: +0')}${smuggled}`,
    `${post('Content-Length: 0x4')}${smuggled}`,
    `${post('Content-Length: -1')}${smuggled}`,
    `${post('Transfer-Encoding: chunked, identity')}0\r\n\r\n${smuggled}`,
    `${post('Transfer-Encoding: xchunked')}0\r\n\r\n${smuggled}`,
    `${post('Transfer-Encoding : chunked')}0\r\n\r\n${smuggled}`,
    `${post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}0\r\n\r\n${smuggled}`,
    `${post(' Transfer-Encoding: chunked')}0\r\n\r\n${smuggled}`,
    `${post('X: y\r\n Content-Length: 44')}${smuggled}`,
    `${post('X: y\nTransfer-Encoding: chunked')}0\r\n\r\n${smuggled}`,
    `${post('X: \0')}${smuggled}`,
    `${post('Host: other.localhost')}${smuggled}`,
    `POST / HTTP/1.1\nHost: shop-42.localhost\n\n${smuggled}`,
    `POST / HTTP/1.1\r\n\r\n${smuggled}`,
    `POST / HTTP/9.9\r\nHost: shop-42.localhost\r\n\r\n${smuggled}`,
    `POST /\x01 HTTP/1.1\r\nHost: shop-42.localhost\r\n\r\n${smuggled}`,
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
    `\x16\x03\x01\x02\x00\x01\x00`,
    post(`X: ${'a'.repeat(20_000)}`),
  ];
  for (const shape of shapes) {
    const reply = await askRaw(preview.port, shape);
    assert.match(reply, /^HTTP\/1\.1 400 /, JSON.stringify(shape.slice(0, 120)));
    assert.equal(reply.match(/HTTP\/1\.1/g)?.length, 1, JSON.stringify(shape.slice(0, 120)));
  }
  assert.deepEqual(preview.seen, []);
  assert.equal((await ask(preview.port, 'shop-42.localhost')).body, 'app');
});

void test('a malformed chunk ends the request, and what follows it is not read as another', async () => {
  await using preview = await aWatchedPreview();
  const start = head('POST /first HTTP/1.1', 'Host: shop-42.localhost', 'Transfer-Encoding: chunked');
  for (const chunks of ['zz\r\nabc\r\n', '5\r\nabc\r\n0\r\n\r\n', '-1\r\n', 'fffffffffffffffff\r\n', '3\nabc\n0\n\n']) {
    const reply = await askRaw(
      preview.port,
      `${start}${chunks}GET /smuggled HTTP/1.1\r\nHost: shop-42.localhost\r\n\r\n`,
    );
    assert.doesNotMatch(reply, /HTTP\/1\.1 200/, chunks);
  }
  assert.deepEqual(
    preview.seen.filter((each) => each.url !== '/first'),
    [],
  );
});

void test('who the client is, the gateway says; headers of one connection stay on it', async () => {
  await using preview = await aWatchedPreview();
  await ask(preview.port, 'shop-42.localhost:7777', {
    headers: {
      'X-Forwarded-For': '6.6.6.6',
      'x-forwarded-proto': 'https',
      'X-Forwarded-Host': 'evil.example',
      'X-Forwarded-Prefix': '/x',
      Forwarded: 'for=6.6.6.6',
      'X-Real-IP': '6.6.6.6',
      TE: 'trailers',
      Connection: 'close, X-Mine, Host, Cookie, X-Forwarded-For',
      'Keep-Alive': 'timeout=5',
      'Proxy-Connection': 'keep-alive',
      'X-Mine': 'one connection',
      'X-Yours': 'passes',
      Cookie: 'a=b',
    },
  });
  const headers = preview.seen[0]?.headers ?? [];
  const map = Object.fromEntries(
    Array.from({ length: headers.length / 2 }, (_, at) => [headers[2 * at]?.toLowerCase(), headers[2 * at + 1]]),
  );
  assert.equal(Object.keys(map).length, headers.length / 2, 'no header twice');
  assert.deepEqual(map, {
    host: 'shop-42.localhost:7777',
    connection: 'keep-alive',
    cookie: 'a=b',
    'x-yours': 'passes',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'shop-42.localhost:7777',
    'x-forwarded-proto': 'http',
  });
});

void test('a client that never finishes the head of its request is cut', { timeout: 30_000 }, async () => {
  await using preview = await aWatchedPreview();
  const socket = connect(preview.port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: shop-42.localhost\r\n');
  const drip = setInterval(() => socket.write('X: y\r\n'), 500);
  socket.resume();
  socket.on('error', () => undefined);
  await once(socket, 'close');
  clearInterval(drip);
  assert.deepEqual(preview.seen, []);
});
