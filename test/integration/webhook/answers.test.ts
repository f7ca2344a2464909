/** What the listener answers besides deliveries, and when its surroundings are not well. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { promisify } from 'node:util';
import { OperatorError } from '../../../webhook/core/errors.ts';
import { AWebhookServer, payloadWith } from '../../support/a-webhook-server.ts';
import { openTestState } from '../../support/test-state.ts';
import { waitUntil } from '../../support/wait-until.ts';

suite('health, readiness, metrics', () => {
  test('/health says that the process is alive, /ready whether it can work', async () => {
    let isReady = true;
    await using server = await AWebhookServer.start({ isReady: () => Promise.resolve(isReady) });
    const health = await server.fetch('/health');
    assert.equal(health.status, 200);
    assert.deepEqual(Object.keys(health.body as object), ['status', 'uptime']);
    const ready = async () => {
      const { status, body } = await server.fetch('/ready');
      return [status, (body as { status: string }).status];
    };
    assert.deepEqual(await ready(), [200, 'ready']);
    isReady = false;
    assert.deepEqual(await ready(), [503, 'not_ready']);
    assert.equal((await server.fetch('/health')).status, 200);
  });

  test('/ready is 503 when the look itself fails or hangs', async () => {
    for (const isReady of [() => Promise.reject(new Error('away')), () => new Promise<boolean>(() => {})]) {
      await using server = await AWebhookServer.start({ isReady });
      assert.equal((await server.fetch('/ready')).status, 503);
    }
  });

  test('/metrics counts answers by what they were', async () => {
    await using server = await AWebhookServer.start();
    await server.deliver(payloadWith());
    await server.deliver(payloadWith(), { event: 'push' });
    await server.deliver(payloadWith(), { secret: 'wrong' });
    await server.deliver('{');
    const { body, headers } = await server.fetch('/metrics');
    assert.match(headers.get('content-type') ?? '', /^text\/plain/);
    const counted = Array.from(
      String(body).matchAll(/^berth_webhook_answers_total\{answer="(\w+)",status="(\d+)"\} (\d+)$/gm),
      ([, answer, status, count]) => [answer, Number(status), Number(count)],
    );
    assert.deepEqual(counted, [
      ['accepted', 202, 1],
      ['ignored', 200, 1],
      ['bad_signature', 401, 1],
      ['bad_json', 400, 1],
    ]);
  });
});

suite('the intake', () => {
  const refusing = (thrown: unknown) => ({ accept: () => Promise.reject(thrown) });

  test('PostgreSQL away: 503 with Retry-After, and no 202', async () => {
    const intake = refusing(new OperatorError('STATE_UNAVAILABLE', 'PostgreSQL does not answer.'));
    await using server = await AWebhookServer.start({ intake });
    const { status, body, headers } = await server.deliver(payloadWith());
    assert.deepEqual([status, (body as { code: string }).code], [503, 'STATE_UNAVAILABLE']);
    assert.equal(headers.get('retry-after'), '5');
  });

  test('its own time to come back is passed on', async () => {
    const intake = refusing(new OperatorError('STATE_UNAVAILABLE', 'Starting.', { retryAfterMs: 1_500 }));
    await using server = await AWebhookServer.start({ intake });
    assert.equal((await server.deliver(payloadWith())).headers.get('retry-after'), '2');
  });

  test('anything unforeseen: 500 with a neutral text; the log has the chain, without secrets', async () => {
    const secret = 'ghp_0123456789abcdef0123456789abcdef0123';
    const intake = refusing(
      new Error(`connection to postgres://u:hunter2@db failed`, { cause: new Error(`token ${secret}`) }),
    );
    await using server = await AWebhookServer.start({ intake });
    const { status, body } = await server.deliver(payloadWith());
    assert.deepEqual([status, body], [500, { error: 'Something went wrong on our side.', code: 'INTERNAL' }]);
    const log = server.logText();
    assert.ok(log.includes('connection to'));
    assert.ok(!log.includes('hunter2') && !log.includes(secret), log);
  });

  test('with PostgreSQL: a delivery is one record and one job, however often it comes', async () => {
    await using state = await openTestState();
    await using server = await AWebhookServer.start({ intake: state.intake });
    const guid = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
    const answers = await Promise.all(Array.from({ length: 20 }, () => server.deliver(payloadWith(), { guid })));
    const words = answers.map(({ body }) => (body as { status: string }).status).sort();
    assert.deepEqual(words, ['accepted', ...Array.from({ length: 19 }, () => 'duplicate')]);
    assert.equal((await state.store.list()).length, 1);
    assert.equal((await state.waitingJobs()).length, 1);
  });
});

suite('senders that are too slow', () => {
  // The real limit is 9 s; what is tested is that it covers all of these.
  const limits = { receiveTimeoutMs: 700 };
  const HEAD =
    'POST /webhook/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n';

  /** Opens a connection, sends, and sends one byte now and then. Resolves with what came back when the server closed it. */
  async function slowly(port: number, first: string, everyMs: number | null): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    let received = '';
    const socket: Socket = createConnection(port, '127.0.0.1', () => socket.write(first));
    const drip = everyMs === null ? null : setInterval(() => socket.write('x'), everyMs);
    socket.on('data', (chunk) => {
      received += chunk.toString();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (drip !== null) clearInterval(drip);
      resolve(received);
    });
    return promise;
  }

  for (const [name, first, everyMs, answer] of [
    ['nothing at all', '', null, /^HTTP\/1\.1 408 /],
    ['half a header', 'POST /webhook/github HTTP/1.1\r\nHost: ', null, /^HTTP\/1\.1 408 /],
    ['a header, a byte now and then', 'POST /webhook/github HTTP/1.1\r\nHost: ', 100, /^HTTP\/1\.1 408 /],
    ['half a body', `${HEAD}{"action"`, null, /^HTTP\/1\.1 408 /],
    ['a body, a byte now and then', HEAD, 100, /^HTTP\/1\.1 408 /],
  ] as const) {
    test(`${name}: cut`, { timeout: 10_000 }, async () => {
      await using server = await AWebhookServer.start({ limits });
      assert.match(await slowly(server.port, first, everyMs), answer);
      assert.equal((await server.deliver(payloadWith())).status, 202);
    });
  }

  test('200 of them are cut together, and a good delivery is answered meanwhile', { timeout: 20_000 }, async () => {
    await using server = await AWebhookServer.start({ limits });
    const all = Promise.all(Array.from({ length: 200 }, () => slowly(server.port, HEAD, 200)));
    assert.equal((await server.deliver(payloadWith())).status, 202);
    assert.equal((await all).length, 200);
  });

  test('connections beyond the limit are closed at once; those within still work', async () => {
    await using server = await AWebhookServer.start({ limits: { connectionsMax: 5 } });
    const idle = Array.from({ length: 4 }, () => createConnection(server.port, '127.0.0.1'));
    await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    assert.equal((await server.deliver(payloadWith())).status, 202);
    // The delivery's own connection is kept alive: the server is full now.
    const oneMore = createConnection(server.port, '127.0.0.1');
    await new Promise((resolve) => {
      oneMore.on('error', () => {});
      oneMore.on('close', resolve);
    });
    for (const socket of idle) socket.destroy();
  });

  test('a sender that goes away in the middle of its body is no error of ours', async () => {
    await using server = await AWebhookServer.start();
    const socket = createConnection(server.port, '127.0.0.1', () => socket.write(`${HEAD}{"a`, () => socket.destroy()));
    await new Promise((resolve) => {
      socket.on('close', resolve);
    });
    assert.equal((await server.deliver(payloadWith())).status, 202);
    assert.ok(!server.logText().includes('"level":50'), server.logText());
  });
});

suite('receivers that are too slow', () => {
  /** Asks without ever reading an answer. */
  async function neverReading(port: number, bytes: string): Promise<Socket> {
    const socket = createConnection(port, '127.0.0.1', () => socket.write(bytes));
    socket.pause();
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  }

  test('who asks and asks without taking an answer is cut, others are answered meanwhile', {
    timeout: 10_000,
  }, async () => {
    await using server = await AWebhookServer.start();
    const asking = Array.from({ length: 4 }, () =>
      neverReading(server.port, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3_000)),
    );
    const sockets = await Promise.all(asking);
    assert.equal((await server.deliver(payloadWith())).status, 202);
    await untilConnections(server, 1);
    for (const socket of sockets) socket.destroy();
  });

  test('an answer that nobody takes is given up', { timeout: 20_000 }, async () => {
    // More than the buffers of a connection hold.
    const text = () => Promise.resolve('x'.repeat(64 * 1024 * 1024));
    await using server = await AWebhookServer.start({ limits: { sendTimeoutMs: 500 }, metrics: { text } });
    const socket = await neverReading(server.port, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await untilConnections(server, 1);
    await untilConnections(server, 0);
    socket.destroy();
  });

  test('what is asked for by many at once is read once', async () => {
    let reads = 0;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const isReady = () => {
      reads += 1;
      return promise;
    };
    await using server = await AWebhookServer.start({ isReady });
    const answers = Promise.all(Array.from({ length: 20 }, () => server.fetch('/ready')));
    await untilConnections(server, 20);
    // Each of them has been read by the time that one that came after them all is answered.
    await server.fetch('/health');
    resolve(true);
    assert.deepEqual(new Set((await answers).map(({ status }) => status)), new Set([200]));
    assert.equal(reads, 1);
  });
});

/** Waits until the listener has so many connections. The deliveries' own are kept alive. */
async function untilConnections({ app }: AWebhookServer, count: number): Promise<void> {
  const connections = promisify(app.server.getConnections.bind(app.server));
  await waitUntil(`${count} connections`, async () => (await connections()) === count, 5_000);
}
