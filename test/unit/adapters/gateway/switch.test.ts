import assert from 'node:assert/strict';
import { Agent, request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { instanceNameOf } from '../../../../webhook/core/names.ts';
import { aGateway, anApp, aRoute, ask, slug, type AnApp } from '../../../support/a-gateway.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const host = 'shop-42.localhost';
const name = slug('shop-42');

/** Says which generation it is, after a moment; every fifth answer in two parts. */
function aGeneration(generation: number): Promise<AnApp> {
  let count = 0;
  return anApp((request, response) => {
    request.resume();
    count += 1;
    const text = String(generation);
    if (count % 5 === 0) response.write(' ');
    setTimeout(() => response.end(text), count % 12);
  });
}

interface Told {
  readonly failures: string[];
  requests: number;
}

/**
 * Sends requests at a steady rate, whatever becomes of those before, until told to stop; half of them on kept connections. On a machine
 * that cannot keep the rate up (apps, gateway and clients share one thread here) it waits instead of piling up.
 */
function steadyRequests(port: number, perSecond: number, check: (body: string) => string | null) {
  const kept = new Agent({ keepAlive: true });
  const told: Told = { failures: [], requests: 0 };
  const open = new Set<Promise<void>>();

  function send(number: number): Promise<void> {
    return new Promise((resolve) => {
      const method = number % 10 === 0 ? 'POST' : 'GET';
      const agent = number % 2 === 0 ? kept : false;
      const request = httpRequest({ host: '127.0.0.1', port, agent, method, headers: { host }, setHost: false });
      const end = (problem: string | null) => {
        if (problem !== null) told.failures.push(`${method} ${number}: ${problem}`);
        resolve();
      };
      request.once('error', (error) => end(error.message));
      request.once('response', (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.once('error', (error) => end(error.message));
        response.once('end', () =>
          end(response.statusCode === 200 ? check(body.trim()) : `status ${response.statusCode}`),
        );
      });
      request.end(method === 'POST' ? 'body' : undefined);
    });
  }

  let lookedAt = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const due = Math.min(20, Math.round(((now - lookedAt) / 1_000) * perSecond));
    lookedAt = now;
    for (let each = 0; each < due && open.size < 60; each += 1) {
      const sent = send(told.requests);
      told.requests += 1;
      open.add(sent);
      void sent.then(() => open.delete(sent));
    }
  }, 5);

  return async (): Promise<Told> => {
    clearInterval(timer);
    await Promise.all(open);
    kept.destroy();
    return told;
  };
}

void test('50 switches under 1,000 requests per second lose none, and none sees an instance that was replaced before', async (t) => {
  await using door = await aGateway();
  const { gateway } = door;
  let answering = 1;
  let app = await aGeneration(answering);
  await gateway.ensure(aRoute('shop-42', { slot: answering, ports: { 3000: app.port } }));
  // An answer may be of the instance that was there when the request was sent. The generation before the last has been stopped by then.
  const begun = performance.now();
  const stop = steadyRequests(gateway.port, 1_000, (body) => {
    return Number(body) >= answering - 1 && Number(body) <= answering + 1
      ? null
      : `from ${body} while ${answering} answers`;
  });
  for (let next = 2; next <= 51; next += 1) {
    const before = app;
    app = await aGeneration(next);
    await gateway.ensure(aRoute('shop-42', { slot: next, ports: { 3000: app.port } }));
    answering = next;
    assert.equal((await ask(gateway.port, host)).body.trim(), String(next));
    await waitUntil(
      'the old one is drained',
      async () => (await gateway.inFlight(name, instanceNameOf(next - 1))) === 0,
    );
    // Drained means that it may be killed.
    await before[Symbol.asyncDispose]();
    await pause(20);
  }
  const { failures, requests } = await stop();
  const seconds = (performance.now() - begun) / 1_000;
  await app[Symbol.asyncDispose]();
  t.diagnostic(
    `${failures.length} of ${requests} requests failed, at ${Math.round(requests / seconds)} requests per second`,
  );
  assert.deepEqual(failures.slice(0, 5), []);
  assert.ok(requests > 1_000);
});

void test('an app that closes kept connections at will fails no request and gets no order twice', async () => {
  const orders = new Map<string, number>();
  await using app = await anApp((request, response) => {
    const { socket } = request;
    if (request.method === 'POST') orders.set(request.url ?? '', (orders.get(request.url ?? '') ?? 0) + 1);
    request.resume();
    response.once('finish', () => setTimeout(() => socket.destroy(), Math.random() * 3));
    response.setHeader('connection', 'keep-alive');
    response.end('done');
  });
  // No hint about when: Node would send one.
  app.server.keepAliveTimeout = 0;
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const client = async (first: number): Promise<void> => {
    for (let number = first; number < 2_000; number += 8) {
      const method = number % 5 === 0 ? 'POST' : 'GET';
      const options = { method, path: `/${number}`, ...(method === 'POST' ? { body: 'order' } : {}) };
      const reply = await ask(door.gateway.port, host, options);
      assert.deepEqual([reply.status, reply.body], [200, 'done'], `request ${number}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, first) => client(first)));
  assert.equal(orders.size, 400);
  assert.deepEqual([...new Set(orders.values())], [1]);
});

void test('switching back before the old instance is idle counts on, and its kept connections are new ones', async () => {
  const answers: (() => void)[] = [];
  await using first = await anApp((request, response) => {
    if (request.url === '/slow') answers.push(() => response.end('slow'));
    else response.end('first');
  });
  await using second = await anApp((_request, response) => response.end('second'));
  await using door = await aGateway();
  const { gateway } = door;
  const to = (slot: number, app: AnApp) => gateway.ensure(aRoute('shop-42', { slot, ports: { 3000: app.port } }));
  const inFlight = () => gateway.inFlight(name, instanceNameOf(1));
  await to(1, first);
  const slow = [ask(gateway.port, host, { path: '/slow' })];
  await waitUntil('the first slow request is there', () => answers.length === 1);
  await to(2, second);
  await to(1, first);
  assert.equal((await ask(gateway.port, host)).body, 'first');
  slow.push(ask(gateway.port, host, { path: '/slow' }));
  await waitUntil('the second slow request is there', () => answers.length === 2);
  assert.equal(await inFlight(), 2);
  await to(2, second);
  assert.equal(await inFlight(), 2);
  for (const answer of answers) answer();
  assert.deepEqual(
    (await Promise.all(slow)).map((each) => each.body),
    ['slow', 'slow'],
  );
  await waitUntil('both are counted out', async () => (await inFlight()) === 0);
  await waitUntil('no connection is kept to the retired instance', () => first.sockets.size === 0);
});

void test('a request whose instance dies before it answered goes to the next one, if it may be repeated', async () => {
  let die = (): void => undefined;
  await using old = await anApp((request) => {
    die = () => request.socket.destroy();
  });
  await using next = await anApp((_request, response) => response.end('new'));
  await using door = await aGateway();
  const { gateway } = door;
  const switched = async (method: string) => {
    await gateway.ensure(aRoute('shop-42', { slot: 1, ports: { 3000: old.port } }));
    die = () => undefined;
    const idle = die;
    const reply = ask(gateway.port, host, { method, ...(method === 'POST' ? { body: 'x' } : {}) });
    await waitUntil('the old instance has the request', () => die !== idle);
    await gateway.ensure(aRoute('shop-42', { slot: 2, ports: { 3000: next.port } }));
    die();
    return reply;
  };
  assert.equal((await switched('GET')).body, 'new');
  assert.equal((await switched('POST')).status, 502);
  assert.equal(await gateway.inFlight(name, instanceNameOf(1)), 0);
});
