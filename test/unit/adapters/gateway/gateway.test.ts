import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostLabelOf, instanceNameOf } from '../../../../webhook/core/names.ts';
import { aGateway, anApp, aNamedApp, aRoute, ask, slug } from '../../../support/a-gateway.ts';
import { waitUntil } from '../../../support/wait-until.ts';

void test('a preview is served on its own host, and no other host reaches it', async () => {
  await using app = await aNamedApp('shop');
  await using door = await aGateway();
  const { gateway } = door;
  await gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));

  const host = gateway.addressOf(hostLabelOf(slug('shop-42'))).host;
  assert.equal(host, `shop-42.localhost:${gateway.port}`);
  const served = await ask(gateway.port, host);
  assert.equal(served.body, 'shop');
  assert.equal(served.headers['x-robots-tag'], 'noindex');
  for (const other of ['localhost', 'shop-43.localhost', 'x.shop-42.localhost', 'shop-42.localhost.evil.example'])
    assert.equal((await ask(gateway.port, other)).status, 404, other);
});

void test('routes answer as declared: longest path first, prefixes stripped, extra hosts of their own', async () => {
  const echo = (name: string) => anApp((request, response) => response.end(`${name} ${request.url}`));
  await using web = await echo('web');
  await using api = await echo('api');
  await using door = await aGateway();
  await door.gateway.ensure(
    aRoute('shop-42', {
      ports: { 3000: web.port, 4000: api.port },
      routes: [
        { path: '/', port: 3000 },
        { path: '/api/*', port: 4000 },
        { path: '/docs/*', port: 4000, stripPrefix: true },
        { path: '/health', port: 4000 },
      ],
      extraHosts: { admin: [{ path: '/', port: 4000 }] },
    }),
  );
  const get = async (path: string, host = 'shop-42.localhost') => (await ask(door.gateway.port, host, { path })).body;
  assert.equal(await get('/'), 'web /');
  assert.equal(await get('/api'), 'web /api');
  assert.equal(await get('/api/'), 'api /api/');
  assert.equal(await get('/api/x?y=1'), 'api /api/x?y=1');
  assert.equal(await get('/apix'), 'web /apix');
  assert.equal(await get('/docs/a/b?c'), 'api /a/b?c');
  assert.equal(await get('/health?deep'), 'api /health?deep');
  assert.equal(await get('/health/x'), 'web /health/x');
  assert.equal(await get('/x', 'admin-shop-42.localhost'), 'api /x');
  const bare = await ask(door.gateway.port, 'shop-42.localhost', { path: '/docs?v=2' });
  assert.deepEqual([bare.status, bare.headers.location], [307, '/docs/?v=2']);
});

void test('routes are back after a restart; a damaged file is set aside and stops nobody else', async () => {
  await using app = await aNamedApp('kept');
  await using first = await aGateway();
  for (const name of ['shop-1', 'shop-2', 'shop-3'])
    await first.gateway.ensure(aRoute(name, { ports: { 3000: app.port } }));
  const before = await first.gateway.list();
  await first.gateway.remove(slug('shop-3'));
  await first.gateway.close();
  writeFileSync(
    join(first.directory, 'shop-2.json'),
    readFileSync(join(first.directory, 'shop-2.json')).subarray(0, 99),
  );
  writeFileSync(join(first.directory, 'shop-9.json.unfinished'), '{');

  await using second = await aGateway({ directory: first.directory });
  assert.deepEqual(await second.gateway.list(), [before[0]]);
  assert.equal(await second.gateway.observe(slug('shop-2')), null);
  assert.equal((await ask(second.gateway.port, 'shop-1.localhost')).body, 'kept');
  assert.deepEqual(readdirSync(first.directory).toSorted(), ['shop-1.json', 'shop-2.json.damaged']);
  assert.deepEqual(
    second.log.lines.map((line) => [line.level, (line.fields as { file: string }).file]),
    [['error', 'shop-2.json']],
  );
});

void test('a switch: the next request goes to the new instance, what is in flight ends on the old one', async () => {
  let finish = (): void => undefined;
  await using old = await anApp((request, response) => {
    if (request.url !== '/stream') return void response.end('old');
    response.write('first ');
    finish = () => response.end('last');
  });
  await using next = await aNamedApp('new');
  await using door = await aGateway();
  const { gateway } = door;
  const name = slug('shop-42');
  await gateway.ensure(aRoute('shop-42', { slot: 1, ports: { 3000: old.port } }));
  const stream = ask(gateway.port, 'shop-42.localhost', { path: '/stream' });
  await waitUntil('the stream has begun', async () => (await gateway.inFlight(name, instanceNameOf(1))) === 1);
  assert.equal((await ask(gateway.port, 'shop-42.localhost')).body, 'old');

  await gateway.ensure(aRoute('shop-42', { slot: 2, ports: { 3000: next.port } }));
  assert.equal((await ask(gateway.port, 'shop-42.localhost')).body, 'new');
  assert.equal(await gateway.inFlight(name, instanceNameOf(1)), 1);
  finish();
  assert.equal((await stream).body, 'first last');
  await waitUntil('the old instance is drained', async () => (await gateway.inFlight(name, instanceNameOf(1))) === 0);
  await waitUntil('no connection to the old instance is kept', () => old.sockets.size === 0);
});

void test('while nothing answers, browsers get the status page and programs a 503', async () => {
  await using door = await aGateway();
  const { port } = door.gateway;
  await door.gateway.ensure(aRoute('shop-42', { slot: null, ports: { 3000: 1 } }));
  const page = await ask(port, 'shop-42.localhost', { headers: { accept: 'text/html,*/*' } });
  assert.equal(page.status, 503);
  assert.match(page.body, /status of shop-42/);
  const program = await ask(port, 'shop-42.localhost', { method: 'POST', headers: { accept: '*/*' }, body: 'x' });
  assert.deepEqual([program.status, program.headers['retry-after']], [503, '2']);
  assert.equal(program.body, 'The status of shop-42.\n');
});

void test('who asks for what waits for a push is not told to ask again', async () => {
  const failed = { status: 503, html: '<p>failed</p>', text: 'The setup failed.', retryAfterSeconds: null };
  await using door = await aGateway({ statusPage: () => Promise.resolve(failed) });
  await door.gateway.ensure(aRoute('shop-42', { slot: null, ports: { 3000: 1 } }));
  for (const [accept, body] of [
    ['text/html', '<p>failed</p>'],
    ['*/*', 'The setup failed.\n'],
  ] as const) {
    const answer = await ask(door.gateway.port, 'shop-42.localhost', { headers: { accept } });
    assert.deepEqual([answer.status, answer.headers['retry-after'], answer.body], [503, undefined, body]);
  }
});

void test('an app that is away is a 502, and the gateway lives on', async () => {
  const app = await aNamedApp('gone');
  await app[Symbol.asyncDispose]();
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  assert.equal((await ask(door.gateway.port, 'shop-42.localhost')).status, 502);
  assert.equal((await ask(door.gateway.port, 'shop-42.localhost', { method: 'POST', body: 'x' })).status, 502);
  assert.equal((await ask(door.gateway.port, 'nobody.localhost')).status, 404);
});

void test('a route that is not usable is refused whole, and what was in force still is', async () => {
  await using app = await aNamedApp('good');
  await using door = await aGateway();
  const { gateway } = door;
  await gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const good = await gateway.observe(slug('shop-42'));
  const refusals = [
    aRoute('shop-42', { ports: { 3000: app.port }, routes: [{ port: 4000 }] }),
    aRoute('shop-42', { ports: { 3000: app.port }, routes: [{ path: '/../x' }] }),
    aRoute('shop-42', { ports: { 3000: 70_000 } }),
    {
      ...aRoute('shop-42', { ports: { 3000: app.port } }),
      hosts: aRoute('other-7', { ports: { 3000: app.port } }).hosts,
    },
  ];
  for (const route of refusals) await assert.rejects(gateway.ensure(route), { code: 'ROUTE_REFUSED' });
  assert.deepEqual(await gateway.observe(slug('shop-42')), good);
  assert.equal((await ask(gateway.port, 'shop-42.localhost')).body, 'good');
});

void test('removing a preview removes hosts and file, and may be repeated', async () => {
  await using app = await aNamedApp('app');
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port }, extraHosts: { admin: [{}] } }));
  await door.gateway.remove(slug('shop-42'));
  await door.gateway.remove(slug('shop-42'));
  for (const host of ['shop-42.localhost', 'admin-shop-42.localhost'])
    assert.equal((await ask(door.gateway.port, host)).status, 404);
  assert.deepEqual(readdirSync(door.directory), []);
});

void test('a response is passed on as it comes, and a client that leaves frees the app', async () => {
  let gone = false;
  await using app = await anApp((_request, response) => {
    response.write('one');
    response.once('close', () => (gone = true));
  });
  await using door = await aGateway();
  await door.gateway.ensure(aRoute('shop-42', { ports: { 3000: app.port } }));
  const { connect } = await import('node:net');
  const socket = connect(door.gateway.port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: shop-42.localhost\r\n\r\n');
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  assert.match(chunk.toString(), /^HTTP\/1\.1 200/);
  socket.destroy();
  await waitUntil('the app sees its client leave', () => gone);
  await waitUntil(
    'nothing is in flight',
    async () => (await door.gateway.inFlight(slug('shop-42'), instanceNameOf(1))) === 0,
  );
});

void test('files that somebody put beside the routes, changed or removed are named and mended', async () => {
  await using app = await aNamedApp('shop');
  await using door = await aGateway();
  const { gateway, directory } = door;
  for (const name of ['shop-42', 'shop-43']) await gateway.ensure(aRoute(name, { ports: { 3000: app.port } }));
  assert.deepEqual(await gateway.defects(), []);
  const written = readFileSync(join(directory, 'shop-42.json'), 'utf8');
  writeFileSync(join(directory, 'shop-42.json'), written.replaceAll('3000', '4000'));
  rmSync(join(directory, 'shop-43.json'));
  writeFileSync(join(directory, 'by-hand.json'), '{}');
  const defects = await gateway.defects();
  assert.deepEqual(
    defects.map(({ kind, file, keptAs = '-' }) => `${kind} ${file} ${keptAs}`),
    ['changed shop-42.json -', 'changed shop-43.json -', 'foreign by-hand.json by-hand.json.damaged'],
  );
  for (const defect of defects) await defect.mend();
  assert.deepEqual(await gateway.defects(), []);
  assert.equal(readFileSync(join(directory, 'shop-42.json'), 'utf8'), written);
  assert.deepEqual(readdirSync(directory).toSorted(), ['by-hand.json.damaged', 'shop-42.json', 'shop-43.json']);
});
