import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { instanceNameOf } from '../../../../webhook/core/names.ts';
import { aGateway, anApp, aNamedApp, aRoute, ask, askRaw, slug, type AnApp } from '../../../support/a-gateway.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const host = 'shop-42.localhost';
const name = slug('shop-42');
const one = instanceNameOf(1);

/** An app that repeats what it is told over WebSockets, under a name. */
async function anEchoApp(label: string): Promise<AnApp> {
  const app = await aNamedApp(label);
  const webSockets = new WebSocketServer({
    server: app.server,
    handleProtocols: (protocols) => (protocols.has('echo.v1') ? 'echo.v1' : false),
    verifyClient: ({ req }, answer) => answer(req.url !== '/refused', 403, 'No', { 'x-reason': 'because' }),
  });
  webSockets.on('connection', (socket) =>
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
  );
  return app;
}

function open(port: number, path = '/', protocols: string[] = []): WebSocket {
  return new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { headers: { host } });
}

void test('a WebSocket passes both ways, with its protocol and large messages', async () => {
  await using app = await anEchoApp('app');
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const socket = open(door.gateway.port, '/socket?x=1', ['echo.v1']);
  await once(socket, 'open');
  assert.equal(socket.protocol, 'echo.v1');
  const large = randomBytes(5_000_000);
  socket.send(large);
  const [echo] = (await once(socket, 'message')) as [Buffer];
  assert.ok(echo.equals(large));
  assert.equal(await door.gateway.inFlight(name, one), 1);
  socket.close(4_321, 'bye');
  const [code] = (await once(socket, 'close')) as [number];
  assert.equal(code, 4_321);
  await waitUntil('the WebSocket is counted out', async () => (await door.gateway.inFlight(name, one)) === 0);
});

void test('either end of a WebSocket going away takes the other with it', async () => {
  await using app = await anEchoApp('app');
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const leaving = open(door.gateway.port);
  await once(leaving, 'open');
  leaving.terminate();
  await waitUntil('the app sees its client gone', () => app.sockets.size === 0);

  const left = open(door.gateway.port);
  await once(left, 'open');
  for (const socket of app.sockets) socket.destroy();
  const [code] = (await once(left, 'close')) as [number];
  assert.equal(code, 1006);
});

void test('a refused, impossible or foreign upgrade gets a plain answer', async () => {
  await using app = await anEchoApp('app');
  await using door = await aGateway();
  const { gateway } = door;
  const upgrade = (to: string, path = '/', protocol = 'websocket') =>
    askRaw(
      gateway.port,
      `GET ${path} HTTP/1.1\r\nHost: ${to}\r\nConnection: Upgrade, close\r\nUpgrade: ${protocol}\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
  assert.match(await upgrade(host), /^HTTP\/1\.1 404 /);
  await gateway.ensure(aRoute('shop-42', { slot: null, ports: { 3000: app.port } }));
  assert.match(await upgrade(host), /^HTTP\/1\.1 503 /);
  await gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port }, routes: [{ path: '/ws' }] }));
  assert.match(await upgrade(host, '/elsewhere'), /^HTTP\/1\.1 404 /);
  await gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  assert.match(await upgrade(host, '/refused'), /^HTTP\/1\.1 403 Forbidden\r\n[^]*x-reason: because[^]*No$/);
  assert.match(await upgrade(host, '/', 'h2c'), /^HTTP\/1\.1 200 OK\r\n[^]*app$/);
  assert.equal(await gateway.inFlight(name, one), 0);
  await app[Symbol.asyncDispose]();
  assert.match(await upgrade(host), /^HTTP\/1\.1 502 /);
  assert.equal(await gateway.inFlight(name, one), 0);
});

void test('a WebSocket and a stream that are open at a switch go on with the instance they began with', async () => {
  let tell = (_text: string): void => undefined;
  await using old = await anEchoApp('old');
  old.server.removeAllListeners('request');
  old.server.on('request', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    tell = (text) => (text === '' ? response.end() : response.write(text));
  });
  await using next = await anEchoApp('new');
  await using door = await aGateway();
  const { gateway } = door;
  await gateway.ensure(aRoute('shop-42', { ports: { 3000: old.port } }));
  const webSocket = open(gateway.port);
  await once(webSocket, 'open');
  const stream = connect(gateway.port, '127.0.0.1');
  stream.write(`GET /events HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  let heard = '';
  stream.on('data', (chunk) => (heard += chunk.toString()));
  await waitUntil('the head of a silent stream arrives', () => heard.includes('event-stream'));

  await gateway.ensure(aRoute('shop-42', { slot: 2, ports: { 3000: next.port } }));
  assert.equal((await ask(gateway.port, host)).body, 'new');
  tell('data: after the switch\n\n');
  await waitUntil('the stream goes on', () => heard.includes('data: after the switch'));
  webSocket.send('still there?');
  assert.equal(String((await once(webSocket, 'message'))[0]), 'still there?');
  assert.equal(await gateway.inFlight(name, one), 2);

  // The connection of the stream is kept, and its next request goes to the new instance.
  tell('');
  await waitUntil('the stream ends', () => heard.endsWith('0\r\n\r\n'));
  stream.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await waitUntil('the next request is answered by the new instance', () => heard.endsWith('new'));
  stream.destroy();
  webSocket.close();
  await waitUntil('the old instance is drained', async () => (await gateway.inFlight(name, one)) === 0);
  await waitUntil('no connection to the old instance is left', () => old.sockets.size === 0);
});

void test('a large upload and its echo arrive whole', async () => {
  await using app = await anApp((request, response) => {
    response.setHeader('x-length', request.headers['content-length'] ?? 'chunked');
    request.pipe(response);
  });
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const body = randomBytes(20_000_000);
  const hash = (data: Buffer) => createHash('sha256').update(data).digest('hex');
  for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
    const reply = await ask(door.gateway.port, host, { method: 'POST', headers, body, encoding: 'latin1' });
    assert.equal(hash(Buffer.from(reply.body, 'latin1')), hash(body));
    assert.equal(reply.headers['x-length'], 'content-length' in headers ? String(body.length) : 'chunked');
  }
});

void test('answers keep their shape: HEAD, 204, 304, several cookies, an older client, an early refusal', async () => {
  await using app = await anApp((request, response) => {
    if (request.url === '/204') return void response.writeHead(204).end();
    if (request.url === '/304') return void response.writeHead(304, { etag: '"x"' }).end();
    if (request.url === '/cookies') return void response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'] }).end('ok');
    if (request.url === '/early') return void response.writeHead(413, { connection: 'close' }).end('too large');
    if (request.url === '/robots') return void response.writeHead(200, { 'x-robots-tag': 'all' }).end('ok');
    response.writeHead(200, { 'content-length': 5, connection: 'x-private', 'x-private': '1' });
    response.end(request.method === 'HEAD' ? undefined : 'hello');
  });
  await using door = await aGateway();
  const { port } = door.gateway;
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const head = await ask(port, host, { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '5', '']);
  assert.equal(head.headers['x-private'], undefined);
  assert.equal((await ask(port, host, { path: '/204' })).status, 204);
  const unchanged = await ask(port, host, { path: '/304' });
  assert.deepEqual([unchanged.status, unchanged.headers.etag], [304, '"x"']);
  assert.deepEqual((await ask(port, host, { path: '/cookies' })).headers['set-cookie'], ['a=1', 'b=2']);
  assert.equal((await ask(port, host, { path: '/robots' })).headers['x-robots-tag'], 'noindex');
  assert.match(await askRaw(port, `GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`), /^HTTP\/1\.1 200 OK\r\n[^]*hello$/);
  const expecting = `POST / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx`;
  assert.match(await askRaw(port, expecting), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  const early = `POST /early HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: 9000000\r\n\r\nx`;
  assert.match(await askRaw(port, early), /^HTTP\/1\.1 413 [^]*\r\ntoo large\r\n/);
});

void test('a slow reader holds the app back instead of filling our memory', async () => {
  let written = 0;
  let isGone = false;
  await using app = await anApp((_request, response) => {
    const chunk = Buffer.alloc(64 * 1024);
    const more = () => {
      do written += chunk.length;
      while (response.write(chunk));
      response.once('drain', more);
    };
    response.once('close', () => (isGone = true));
    more();
  });
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const socket = connect(door.gateway.port, '127.0.0.1');
  socket.pause();
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  let before = -1;
  let quietRounds = 0;
  await waitUntil('the app is held back', () => {
    quietRounds = written === before && written > 0 ? quietRounds + 1 : 0;
    before = written;
    return quietRounds === 100;
  });
  // What the kernel's buffers take (a few MB on loopback), and nothing like the endless answer.
  assert.ok(written < 64 * 1024 * 1024, `the app could write ${written} bytes`);
  socket.destroy();
  await waitUntil('the app sees its client leave', () => isGone);
  await waitUntil('nothing is in flight', async () => (await door.gateway.inFlight(name, one)) === 0);
});

void test('a client that leaves in the middle of its upload frees the app', async () => {
  let isAborted = false;
  await using app = await anApp((request) => {
    request.resume();
    request.once('close', () => (isAborted = !request.complete));
  });
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const socket = connect(door.gateway.port, '127.0.0.1');
  socket.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000\r\n\r\nabc`);
  await waitUntil(
    'the upload has begun',
    async () => (await door.gateway.inFlight(name, one)) === 1 && app.sockets.size === 1,
  );
  socket.destroy();
  await waitUntil('the app sees the upload break off', () => isAborted);
  await waitUntil('nothing is in flight', async () => (await door.gateway.inFlight(name, one)) === 0);
});

void test('an answer that the app breaks off is broken off for the client, never completed', async () => {
  await using app = await anApp((request, response) => {
    if (request.url === '/garbage') return void (response.socket as Socket).end('nonsense\r\n\r\n');
    if (request.url === '/short') response.writeHead(200, { 'content-length': 100 });
    response.write('half');
    setImmediate(() => response.socket?.destroy());
  });
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  for (const path of ['/chunked', '/short']) await assert.rejects(ask(door.gateway.port, host, { path }), path);
  assert.equal((await ask(door.gateway.port, host, { path: '/garbage' })).status, 502);
  assert.equal(await door.gateway.inFlight(name, one), 0);
});

void test('closing lets a request end, cuts what would never end, and frees the port', async () => {
  let finish = (): void => undefined;
  await using app = await anEchoApp('app');
  app.server.removeAllListeners('request');
  app.server.on('request', (_request, response) => {
    response.write('begun ');
    finish = () => response.end('ended');
  });
  await using door = await aGateway();
  const { gateway } = door;
  await gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const answer = ask(gateway.port, host);
  const webSocket = open(gateway.port);
  await once(webSocket, 'open');
  await waitUntil('both are under way', async () => (await gateway.inFlight(name, one)) === 2);
  const closing = gateway.close();
  await assert.rejects(ask(gateway.port, host), { code: 'ECONNREFUSED' });
  finish();
  assert.equal((await answer).body, 'begun ended');
  await Promise.all([closing, once(webSocket, 'close')]);
  await waitUntil('no connection to the app is left', () => app.sockets.size === 0);
});
