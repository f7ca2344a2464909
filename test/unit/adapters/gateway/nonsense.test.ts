/** Promise S13 for the gateway: nonsense from either side never crashes it, and every client gets an end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { instanceNameOf } from '../../../../webhook/core/names.ts';
import { aGateway, anApp, aNamedApp, aRoute, ask, askRaw, slug } from '../../../support/a-gateway.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const host = 'shop-42.localhost';

/** Some bytes of the text replaced, removed, doubled or cut off. */
function mutated(text: string): fc.Arbitrary<Buffer> {
  const change = fc.record({
    at: fc.nat(text.length),
    kind: fc.constantFrom('set', 'remove', 'double', 'cut', 'insert'),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 9, 10, 13, 32, 58, 44, 59)),
    length: fc.integer({ min: 1, max: 20 }),
  });
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    let bytes = Buffer.from(text, 'latin1');
    for (const { at, kind, byte, length } of changes) {
      const [before, piece, after] = [
        bytes.subarray(0, at),
        bytes.subarray(at, at + length),
        bytes.subarray(at + length),
      ];
      if (kind === 'cut') bytes = Buffer.concat([before]);
      else if (kind === 'remove') bytes = Buffer.concat([before, after]);
      else if (kind === 'double') bytes = Buffer.concat([before, piece, piece, after]);
      else if (kind === 'insert') bytes = Buffer.concat([before, Buffer.from([byte]), piece, after]);
      else if (at < bytes.length) bytes = Buffer.concat([before, Buffer.from([byte]), bytes.subarray(at + 1)]);
    }
    return bytes;
  });
}

/** Sends the bytes, ends the sending side, and waits for the other side's end. A reset is an end too. */
function nonsense(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    socket.resume();
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
  });
}

void test('2,000 mangled requests: each connection ends, nothing stays in flight, the next request is answered', async () => {
  await using app = await anApp((request, response) => request.pipe(response));
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const { port } = door.gateway;
  const requests = [
    `POST /a?b=c HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET http://${host}/x HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\nCookie: a=b\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    `CONNECT ${host}:80 HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(...requests.map(mutated)), { minLength: 20, maxLength: 20 }), async (all) => {
      await Promise.all(all.map((bytes) => nonsense(port, bytes)));
    }),
    { numRuns: 100 },
  );
  assert.equal((await ask(port, host, { method: 'POST', body: 'still here' })).body, 'still here');
  await waitUntil('nothing is in flight', async () => {
    return (await door.gateway.inFlight(slug('shop-42'), instanceNameOf(1))) === 0;
  });
});

void test('1,000 mangled answers of an app: each is passed on or a 502, and the gateway lives', async () => {
  let answerBytes: Buffer = Buffer.alloc(0);
  const app = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(answerBytes));
  });
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  try {
    await using door = await aGateway();
    await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: (app.address() as AddressInfo).port } }));
    const answers = [
      'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.0 304 Not Modified\r\nETag: "x"\r\n\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nxyz',
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(...answers.map(mutated)),
        fc.constantFrom('GET', 'POST', 'HEAD'),
        async (bytes, method) => {
          answerBytes = bytes;
          const reply = await ask(door.gateway.port, host, {
            method,
            ...(method === 'POST' ? { body: 'x' } : {}),
          }).catch((error: NodeJS.ErrnoException) => error.code);
          // What was begun and breaks off is broken off; anything else is an answer.
          if (typeof reply === 'string') assert.equal(reply, 'ECONNRESET');
          else assert.ok(reply !== undefined && reply.status >= 200);
        },
      ),
      { numRuns: 1_000 },
    );
    assert.equal(await door.gateway.inFlight(slug('shop-42'), instanceNameOf(1)), 0);
    assert.equal((await ask(door.gateway.port, 'nobody.localhost')).status, 404);
  } finally {
    await new Promise((resolve) => app.close(resolve));
  }
});

void test('answers to pipelined requests come in order, and nonsense behind them is not mixed in', async () => {
  await using app = await anApp((request, response) => {
    if (request.url === '/fast') return void response.end('fast');
    response.write('slow');
    setTimeout(() => response.end('ly'), 30);
  });
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const get = (path: string, close = '') => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${close}\r\n`;
  const inOrder = await askRaw(door.gateway.port, get('/slow') + get('/fast', 'Connection: close\r\n'));
  assert.match(inOrder, /slow[^]*ly[^]*fast$/);
  // Before the answer has begun the refusal takes its place; afterwards it would be read as a part of it.
  const early = await askRaw(door.gateway.port, `${get('/slow')}nonsense\r\n\r\n`);
  assert.match(early, /^HTTP\/1\.1 400 (?:(?!HTTP\/1\.1|slow)[^])*$/);
  const socket = connect(door.gateway.port, '127.0.0.1', () => socket.write(get('/slow')));
  let heard = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    heard += chunk.toString();
    if (heard.endsWith('slow\r\n')) socket.write('nonsense\r\n\r\n');
  });
  await once(socket, 'close');
  assert.match(heard, /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(heard, /400|ly/);
});

void test('clients that reset their connection at the worst moments are nobody’s problem', async () => {
  await using app = await aNamedApp('app');
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const starts = [
    `CONNECT ${host}:80 HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: nobody.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\n\r\nabc`,
    'nonsense\r\n\r\n',
  ];
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(
      starts.map(
        (start) =>
          new Promise<void>((resolve) => {
            const socket = connect(door.gateway.port, '127.0.0.1', () => {
              socket.write(start, () => socket.resetAndDestroy());
            });
            socket.on('error', () => undefined);
            socket.once('close', () => resolve());
          }),
      ),
    );
  }
  assert.equal((await ask(door.gateway.port, host)).body, 'app');
  await waitUntil('nothing is in flight', async () => {
    return (await door.gateway.inFlight(slug('shop-42'), instanceNameOf(1))) === 0;
  });
});
