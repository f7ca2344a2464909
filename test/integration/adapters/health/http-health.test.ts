import assert from 'node:assert/strict';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { httpHealth } from '../../../../webhook/adapters/health/http-health.ts';
import type { Clock, HealthRequest } from '../../../../webhook/ports.ts';
import { freePort } from '../../../support/free-port.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const clock: Clock = { now: () => new Date(), sleep: (ms, signal) => delay(ms, undefined, { signal }) };
const health = httpHealth({ clock });
const fine = async () => null;
const signal = new AbortController().signal;

async function listening(t: TestContext, server: net.Server, host = '127.0.0.1', port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function request(port: number, more: Partial<HealthRequest> = {}): HealthRequest {
  const main = { address: '127.0.0.1', port };
  return {
    upstreams: [main],
    main,
    path: '/',
    declared: false,
    timeoutMs: 400,
    host: 'shop-1.localhost:8080',
    ...more,
  };
}

test('a good answer resolves; the app sees the preview’s own host name and the path', async (t) => {
  const seen: string[] = [];
  const server = http.createServer((incoming, response) => {
    seen.push(`${incoming.method} ${incoming.headers.host}${incoming.url}`);
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  const port = await listening(t, server);
  await health.check(request(port, { path: '/up?x=1', declared: true }), fine, signal);
  assert.deepEqual(seen, ['GET shop-1.localhost:8080/up?x=1']);
});

test('an undeclared path may answer 404; a declared one may not, and the error has port and status', async (t) => {
  const port = await listening(
    t,
    http.createServer((_, response) => void response.writeHead(404).end()),
  );
  await health.check(request(port), fine, signal);
  await assert.rejects(health.check(request(port, { declared: true, path: '/up' }), fine, signal), {
    code: 'UNHEALTHY',
    message: `GET /up on port ${port} answered 404 until the end of 0.4 s.`,
  });
});

test('an app that answers 500 first and then well is healthy', async (t) => {
  let asked = 0;
  const server = http.createServer((_, response) => {
    asked += 1;
    response.writeHead(asked < 3 ? 500 : 200).end();
  });
  await health.check(request(await listening(t, server), { timeoutMs: 10_000 }), fine, signal);
  assert.equal(asked, 3);
});

test('an app that listens late is waited for', async (t) => {
  const port = await freePort();
  const checked = health.check(request(port, { timeoutMs: 10_000 }), fine, signal);
  await listening(
    t,
    http.createServer((_, response) => void response.end()),
    '127.0.0.1',
    port,
  );
  await checked;
});

test('every upstream has to accept connections', async (t) => {
  const port = await listening(
    t,
    http.createServer((_, response) => void response.end()),
  );
  const other = await freePort();
  const upstreams = [port, other].map((each) => ({ address: '127.0.0.1', port: each }));
  await assert.rejects(health.check(request(port, { upstreams }), fine, signal), {
    code: 'NEVER_LISTENED',
    message: `Nothing accepted connections on port ${other} (PORT) of 127.0.0.1 (HOST) within 0.4 s.`,
  });
});

test('an app on the wrong address is told which', {
  skip: process.platform !== 'linux' && 'needs /proc/net/tcp',
}, async (t) => {
  const port = await listening(
    t,
    http.createServer((_, response) => void response.end()),
    '127.0.0.1',
  );
  const main = { address: '127.100.0.3', port };
  await assert.rejects(health.check(request(port, { main, upstreams: [main] }), fine, signal), {
    code: 'NEVER_LISTENED',
    message: `Nothing accepted connections on port ${port} (PORT) of 127.100.0.3 (HOST) within 0.4 s. It listens on 127.0.0.1:${port}, not on HOST (127.100.0.3).`,
  });
});

test('an app that accepts and hangs up is UNHEALTHY', async (t) => {
  const port = await listening(
    t,
    net.createServer((socket) => void socket.destroy()),
  );
  await assert.rejects(health.check(request(port), fine, signal), { code: 'UNHEALTHY', message: /got no answer/ });
});

test('a service that keeps ending is told apart at once', async () => {
  const port = await freePort();
  const crash = async () => 'web ended 5 times, the last time with status 1.';
  await assert.rejects(health.check(request(port, { timeoutMs: 60_000 }), crash, signal), {
    code: 'SERVICE_CRASHED',
    message: 'web ended 5 times, the last time with status 1.',
  });
});

test('a good answer does not count while another service keeps ending', async (t) => {
  const port = await listening(
    t,
    http.createServer((_, response) => void response.end()),
  );
  const crash = async () => 'worker ended 3 times.';
  await assert.rejects(health.check(request(port), crash, signal), { code: 'SERVICE_CRASHED' });
});

test('who keeps ending is asked beside the tries: a slow word is waited for once, and a later one still counts', async (t) => {
  let tries = 0;
  const server = http.createServer((_, response) => {
    tries += 1;
    response.writeHead(500).end();
  });
  const port = await listening(t, server);
  let asked = 0;
  const word = async () => {
    asked += 1;
    if (asked === 1) return null;
    const before = tries;
    await waitUntil('three more tries', () => tries >= before + 3, 10_000);
    return 'web ended 3 times.';
  };
  await assert.rejects(health.check(request(port, { timeoutMs: 60_000 }), word, signal), { code: 'SERVICE_CRASHED' });
  assert.equal(asked, 2);
});

test('an abort ends it with its reason, also within a request', async (t) => {
  const controller = new AbortController();
  const reason = new Error('superseded');
  const port = await listening(
    t,
    net.createServer((socket) => {
      socket.on('error', () => {});
      controller.abort(reason);
    }),
  );
  await assert.rejects(
    health.check(request(port, { timeoutMs: 60_000 }), fine, controller.signal),
    (error) => error === reason,
  );
});
