import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { openCaddyRoutes, type CaddySettings } from '../../../webhook/adapters/caddy/routes.ts';
import { extraHostLabel, hostLabelOf, instanceNameOf, parseSlug, type Slug } from '../../../webhook/core/names.ts';
import { parsePool } from '../../../webhook/core/slots.ts';
import type { Log, PreviewRoute, Routes } from '../../../webhook/ports.ts';
import { host, hostd, startHostd } from './a-host-runtime.ts';

const pool = parsePool('10.100.0.0/16') ?? assert.fail();
const previewPool = parsePool('10.101.0.0/16') ?? assert.fail();
const settings: CaddySettings = {
  directory: '/etc/caddy/previews',
  domain: 'preview.test',
  scheme: 'http',
  pool,
  previewPool,
  publicPort: null,
};
const messages: object[] = [];
const log: Log = { debug() {}, info() {}, warn() {}, error: (fields) => messages.push(fields), child: () => log };
const slug = (text: string): Slug => parseSlug(text) ?? assert.fail(text);

let routes: Routes;
const servers: Server[] = [];
before(async () => {
  startHostd();
  routes = await openCaddyRoutes(settings, hostd, log);
});
after(() => {
  for (const server of servers) server.close();
  host('systemctl', 'stop', 'berth-hostd');
});

/** Stands for an instance: answers on its address with its name, the port and the path that it was asked for. */
async function standIn(slot: number, ports: number[]): Promise<void> {
  const address = `10.100.${(2 * slot + 1) >> 8}.${(2 * slot + 1) & 255}`;
  host('ip', 'address', 'replace', `${address}/32`, 'dev', 'lo');
  for (const port of ports) {
    const server = createServer((asked, response) => response.end(`p${slot}:${port}${asked.url}`)).listen(
      port,
      address,
    );
    servers.push(server);
    await once(server, 'listening');
  }
}

function routeTo(
  name: Slug,
  slot: number | null,
  ports: number[],
  paths: PreviewRoute['hosts'][0]['routes'],
): PreviewRoute {
  const upstreams = Object.fromEntries(ports.map((port) => [String(port), { address: '', port }]));
  return {
    slug: name,
    hosts: [{ label: hostLabelOf(name), routes: paths }],
    answering: slot === null ? null : { instance: instanceNameOf(slot), upstreams },
  };
}

const whole = (port: number) => [{ path: '/', port, stripPrefix: false }];

/** One request with this Host header; fetch would set its own. */
function ask(
  hostName: string,
  path = '/',
): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port: 80, path, headers: { host: hostName, connection: 'close' } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
      response.on('error', reject);
    })
      .on('error', reject)
      .end();
  });
}

test('a preview has a page from the start, then its app, path by path; a close leaves nothing', async () => {
  await standIn(300, [3000, 4000]);
  const shop = slug('shop-1');
  await routes.ensure(routeTo(shop, null, [], []));
  const page = await ask('shop-1.preview.test');
  assert.equal(page.status, 503);
  assert.match(page.text, /does not answer right now/);

  const paths = [
    ...whole(3000),
    { path: '/api/*', port: 4000, stripPrefix: false },
    { path: '/admin/*', port: 4000, stripPrefix: true },
    { path: '/api/health', port: 3000, stripPrefix: false },
  ];
  const route = routeTo(shop, 300, [3000, 4000], paths);
  const withExtra = { ...route, hosts: [...route.hosts, { label: extraHostLabel('docs', shop), routes: whole(4000) }] };
  await routes.ensure(withExtra);
  assert.equal((await ask('shop-1.preview.test')).text, 'p300:3000/');
  assert.equal((await ask('shop-1.preview.test', '/api/x')).text, 'p300:4000/api/x');
  assert.equal((await ask('shop-1.preview.test', '/api/health')).text, 'p300:3000/api/health');
  assert.equal((await ask('shop-1.preview.test', '/admin/users')).text, 'p300:4000/users');
  assert.equal((await ask('shop-1.preview.test', '/admin')).headers['location'], '/admin/');
  assert.equal((await ask('docs-shop-1.preview.test')).text, 'p300:4000/');
  assert.equal((await ask('shop-1.preview.test')).headers['x-robots-tag'], 'noindex');
  assert.equal((await ask('other-1.preview.test')).status, 404);
  const observed = await routes.observe(shop);
  assert.equal(observed?.answering?.instance, 'p300');
  assert.deepEqual(observed?.answering?.upstreams['4000'], { address: '10.100.2.89', port: 4000 });

  await routes.remove(shop);
  await routes.remove(shop);
  assert.equal(await routes.observe(shop), null);
  assert.equal((await ask('shop-1.preview.test')).status, 404);
  assert.deepEqual(readdirSync('/etc/caddy/previews'), []);
  assert.deepEqual(await hostd.ask({ verb: 'list-answers' }), []);
});

test('an update switches below Caddy: same files, same address, not one request lost', async () => {
  await standIn(301, [3000]);
  await standIn(302, [3000]);
  const shop = slug('shop-2');
  await routes.ensure(routeTo(shop, 301, [3000], whole(3000)));
  const before = host('stat', '-c', '%y', '/etc/caddy/previews/shop-2.caddy', '/etc/caddy/previews/~site.caddy');
  let failed = 0;
  let asked = 0;
  const over = new AbortController();
  const load = Array.from({ length: 8 }, async () => {
    while (!over.signal.aborted) {
      asked += 1;
      const answer = await ask('shop-2.preview.test').catch(() => null);
      if (answer === null || !/^p30[12]:3000\/$/.test(answer.text)) failed += 1;
    }
  });
  for (let round = 0; round < 50; round += 1) {
    const slot = round % 2 === 0 ? 302 : 301;
    await routes.ensure(routeTo(shop, slot, [3000], whole(3000)));
    assert.equal((await ask('shop-2.preview.test')).text, `p${slot}:3000/`);
  }
  over.abort();
  await Promise.all(load);
  console.log(`50 updates under load through Caddy: ${failed} of ${asked} requests failed`);
  assert.equal(failed, 0, `${failed} of ${asked}`);
  assert.equal(host('stat', '-c', '%y', '/etc/caddy/previews/shop-2.caddy', '/etc/caddy/previews/~site.caddy'), before);
  assert.equal(await routes.inFlight(shop, instanceNameOf(301)), 0);
  await routes.remove(shop);
});

test('routes outlive the operator, hostd and Caddy; what the app does not answer shows the page', async () => {
  await standIn(303, [3000]);
  const shop = slug('shop-3');
  await routes.ensure(routeTo(shop, 303, [3000], whole(3000)));
  host('systemctl', 'stop', 'berth-hostd');
  host('systemctl', 'restart', 'caddy');
  assert.equal((await ask('shop-3.preview.test')).text, 'p303:3000/');
  startHostd();
  const again = await openCaddyRoutes(settings, hostd, log);
  assert.equal((await again.observe(shop))?.answering?.instance, 'p303');
  servers.pop()?.close();
  assert.equal((await ask('shop-3.preview.test')).status, 503);
  await routes.remove(shop);
});

test('a file that Caddy refuses is set aside; the others go through, and the rest of the host is served', async () => {
  await standIn(304, [3000]);
  writeFileSync('/etc/caddy/previews/broken-1.caddy', 'broken.preview.test {\n  no_such_directive {\n');
  const shop = slug('shop-4');
  await routes.ensure(routeTo(shop, 304, [3000], whole(3000)));
  assert.equal((await ask('shop-4.preview.test')).text, 'p304:3000/');
  assert.equal(existsSync('/etc/caddy/previews/broken-1.caddy'), false);
  assert.equal(existsSync('/etc/caddy/previews/broken-1.caddy.refused'), true);
  assert.equal(messages.length, 1);
  host('rm', '/etc/caddy/previews/broken-1.caddy.refused');
  await routes.remove(shop);
});

test('a hundred previews that come at once are loaded in a few goes, and all answer', async () => {
  await standIn(305, [3000]);
  const names = Array.from({ length: 100 }, (_, index) => slug(`many-${index + 1}`));
  await Promise.all(names.map((name) => routes.ensure(routeTo(name, 305, [3000], whole(3000)))));
  const answers = await Promise.all(names.map((name) => ask(`${name}.preview.test`)));
  assert.deepEqual([...new Set(answers.map((answer) => answer.text))], ['p305:3000/']);
  const addresses = (await hostd.ask({ verb: 'list-answers' })).map((each) => each.address);
  assert.equal(new Set(addresses).size, 100);
  await Promise.all(names.map((name) => routes.remove(name)));
  assert.deepEqual(await hostd.ask({ verb: 'list-answers' }), []);
});
