import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import {
  openCaddyRoutes,
  type CaddyRoutes,
  type CaddySettings,
  type Tools,
} from '../../../webhook/adapters/caddy/routes.ts';
import { extraHostLabel, hostLabelOf, instanceNameOf, parseSlug, type Slug } from '../../../webhook/core/names.ts';
import type { BasicAuth } from '../../../webhook/core/policy.ts';
import { parsePool } from '../../../webhook/core/slots.ts';
import type { PreviewRoute } from '../../../webhook/core/preview-route.ts';
import { host, hostd, startHostd } from './a-host-runtime.ts';
import { silentLog } from '../../support/silent-log.ts';

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
const slug = (text: string): Slug => parseSlug(text) ?? assert.fail(text);

/** The password of shop-8. */
let password: BasicAuth | null = null;
/** Text in the site that Caddy is made to refuse. */
let caddyRefuses: string | null = null;
/** Held up before nothing answers at an address any more. */
let holdUpRemoval: Promise<void> = Promise.resolve();
const tools: Tools = {
  hostd: {
    ask: async (request, options) => {
      if ('to' in request && request.to === null) await holdUpRemoval;
      const isRefused =
        request.verb === 'load-routes' &&
        caddyRefuses !== null &&
        readFileSync('/etc/caddy/previews/previews.site', 'utf8').includes(`handle ${caddyRefuses} {`);
      return isRefused ? ({ refused: 'made up' } as never) : hostd.ask(request, options);
    },
  },
  log: silentLog,
  basicAuthOf: (name) => Promise.resolve(name === 'shop-8' ? password : null),
  statusPage: (name) =>
    Promise.resolve({
      status: 503,
      html: `<p>status of ${name}</p>`,
      text: `The preview does not answer yet: status of ${name}.`,
      retryAfterSeconds: 2,
      contentSecurityPolicy: "default-src 'none'",
    }),
};

let routes: CaddyRoutes;
const servers: Server[] = [];
before(async () => {
  startHostd();
  routes = await openCaddyRoutes(settings, tools);
});
after(async () => {
  await routes.close();
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
  more: Record<string, string> = {},
): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    request(
      { host: '127.0.0.1', port: 80, path, headers: { host: hostName, connection: 'close', ...more } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
        response.on('error', reject);
      },
    )
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
  assert.match(page.text, /does not answer yet/);

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
  assert.deepEqual(readdirSync('/etc/caddy/previews').toSorted(), ['hosts', 'previews.site', 'status.sock']);
  assert.deepEqual(readdirSync('/etc/caddy/previews/hosts'), []);
  assert.deepEqual(await hostd.ask({ verb: 'list-answers' }), []);
});

test('an update switches below Caddy: same files, same address, not one request lost', async () => {
  await standIn(301, [3000]);
  await standIn(302, [3000]);
  const shop = slug('shop-2');
  await routes.ensure(routeTo(shop, 301, [3000], whole(3000)));
  const before = host('stat', '-c', '%y', '/etc/caddy/previews/shop-2.caddy', '/etc/caddy/previews/previews.site');
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
  assert.equal(
    host('stat', '-c', '%y', '/etc/caddy/previews/shop-2.caddy', '/etc/caddy/previews/previews.site'),
    before,
  );
  assert.equal(await routes.inFlight(shop, instanceNameOf(301)), 0);
  await routes.remove(shop);
});

const html = { accept: 'text/html' };

test('routes outlive the operator, hostd and Caddy; where nothing answers there is the status page, or one of Caddy', async () => {
  await standIn(303, [3000]);
  const shop = slug('shop-3');
  await routes.ensure(routeTo(shop, 303, [3000], whole(3000)));
  await routes.close();
  host('systemctl', 'stop', 'berth-hostd');
  host('systemctl', 'restart', 'caddy');
  assert.equal((await ask('shop-3.preview.test')).text, 'p303:3000/');
  servers.pop()?.close();
  const away = await ask('shop-3.preview.test', '/', html);
  assert.equal(away.status, 503);
  assert.match(away.text, /does not answer right now/);
  assert.equal(away.headers['x-robots-tag'], 'noindex');

  startHostd();
  host('rm', '-r', '/etc/caddy/previews/hosts');
  host('mkdir', '-p', '/etc/caddy/previews/hosts/gone-1');
  routes = await openCaddyRoutes(settings, tools);
  assert.deepEqual(readdirSync('/etc/caddy/previews/hosts'), ['shop-3'], 'made again from the files');
  assert.equal((await routes.observe(shop))?.answering?.instance, 'p303');
  const there = await ask('shop-3.preview.test', '/any', html);
  assert.equal(there.status, 503);
  assert.equal(there.text, '<p>status of shop-3</p>');
  assert.equal(there.headers['content-security-policy'], "default-src 'none'");
  const line = (await ask('shop-3.preview.test')).text;
  assert.equal(line, 'The preview does not answer yet: status of shop-3.\n', 'a program gets one line');
  await routes.remove(shop);
});

test('previews come and go without a change of Caddy’s configuration: open connections of others stay', async () => {
  await standIn(304, [3000]);
  const name = slug('shop-4');
  await routes.ensure(routeTo(name, 304, [3000], whole(3000)));
  const others = Array.from({ length: 20 }, (_, index) => slug(`other-${index + 1}`));
  const loadedAt = () => host('journalctl', '-u', 'caddy', '--no-pager', '-o', 'cat', '-g', 'load complete|loaded');
  const before = [host('stat', '-c', '%y %i', '/etc/caddy/previews/previews.site'), loadedAt()];
  const connection = connect(80, '127.0.0.1');
  const over = once(connection, 'close');
  connection.write('GET / HTTP/1.1\r\nHost: shop-4.preview.test\r\n\r\n');
  await once(connection, 'data');
  for (const other of others) await routes.ensure(routeTo(other, 304, [3000], whole(3000)));
  for (const other of others) assert.equal((await ask(`${other}.preview.test`)).text, 'p304:3000/');
  for (const other of others) await routes.remove(other);
  connection.write('GET /again HTTP/1.1\r\nHost: shop-4.preview.test\r\nConnection: close\r\n\r\n');
  assert.match(String(await once(connection, 'data')), /p304:3000\/again/);
  await over;
  assert.deepEqual([host('stat', '-c', '%y %i', '/etc/caddy/previews/previews.site'), loadedAt()], before);
  await routes.remove(name);
});

test('what two changes of one preview are about is no defect until both have ended', async () => {
  const name = slug('shop-10');
  const route = routeTo(name, 301, [3000], whole(3000));
  await routes.ensure(route);
  const { promise, resolve } = Promise.withResolvers<void>();
  holdUpRemoval = promise;
  const removed = routes.remove(name);
  const lookup = `/etc/caddy/previews/hosts/${name}`;
  while (existsSync(lookup)) await new Promise((next) => setImmediate(next));
  await routes.ensure(route);
  assert.deepEqual(await routes.defects(), [], 'its host name is gone because it is being removed');
  resolve();
  await removed;
  assert.deepEqual(await routes.defects(), []);
});

test('no host name or path reaches another upstream, or anything on disk', async () => {
  await standIn(309, [3000]);
  const shop = slug('shop-5');
  await routes.ensure(routeTo(shop, 309, [3000], whole(3000)));
  const labels = [
    '*',
    '?????-?',
    '[s]hop-5',
    'shop-*',
    '..',
    '.',
    '.shop-5',
    '{env.HOME}',
    'shop-5%2f..',
    'shop-5\\',
    "'",
    '~',
  ];
  for (const label of labels) {
    const { status } = await ask(`${label}.preview.test`).catch(() => ({ status: 400 }));
    assert.ok(status === 404 || status === 400, `${label}: ${status}`);
  }
  for (const path of [
    '/..%2f..%2fetc/passwd',
    '/%2e%2e/%2e%2e/',
    '/*',
    '/[a-z]',
    '/{http.request.host}',
    '//evil.test/',
  ])
    assert.match((await ask('shop-5.preview.test', path)).text, /^p309:3000\//, path);
  assert.equal((await ask('shop-5.preview.test:80')).text, 'p309:3000/');
  await routes.remove(shop);
});

test('a file that is not ours disturbs nobody; routes that Caddy refuses are refused alone, the others go through', async () => {
  await standIn(306, [3000]);
  writeFileSync('/etc/caddy/previews/broken-1.caddy', 'broken.preview.test {\n  no_such_directive {\n');
  const [good, bad] = [slug('shop-6'), slug('shop-7')];
  const wanted = (name: Slug, path: string) =>
    routeTo(name, 306, [3000], [...whole(3000), { path, port: 3000, stripPrefix: false }]);
  // Nothing that passes our checks is known to be refused at loading, so the refusal is made: by the answer that Caddy would give.
  caddyRefuses = '/refused';
  const results = await Promise.allSettled([
    routes.ensure(wanted(good, '/new')),
    routes.ensure(wanted(bad, '/refused')),
  ]);
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected'],
  );
  assert.equal((await ask('shop-6.preview.test', '/new')).text, 'p306:3000/new');
  assert.equal((await ask('shop-7.preview.test')).status, 404);
  assert.equal(await routes.observe(bad), null);
  assert.equal(existsSync('/etc/caddy/previews/shop-7.caddy'), false);

  // The same at the start: a newer Caddy may refuse what an older one took.
  caddyRefuses = null;
  await routes.ensure(wanted(bad, '/refused'));
  await routes.close();
  caddyRefuses = '/refused';
  host('rm', '/etc/caddy/previews/previews.site');
  routes = await openCaddyRoutes(settings, tools);
  assert.equal(await routes.observe(bad), null);
  assert.ok(existsSync('/etc/caddy/previews/shop-7.caddy.refused'));
  assert.equal((await ask('shop-6.preview.test', '/new')).text, 'p306:3000/new');
  caddyRefuses = null;
  assert.ok(existsSync('/etc/caddy/previews/broken-1.caddy'));
  host('rm', '/etc/caddy/previews/broken-1.caddy', '/etc/caddy/previews/shop-7.caddy.refused');
  await routes.remove(good);
});

test('a preview with a password asks for it; another password is in force after a restart of the operator', async () => {
  await standIn(307, [3000]);
  const shop = slug('shop-8');
  const hashOf = (text: string) => host('perl', '-e', 'print crypt($ARGV[0], q($2b$05$abcdefghijklmnopqrstuu))', text);
  const login = (text: string) => ({ authorization: `Basic ${Buffer.from(`review:${text}`).toString('base64')}` });
  password = { user: 'review', hash: hashOf('hiccup') };
  await routes.ensure(routeTo(shop, 307, [3000], whole(3000)));
  const asked = await ask('shop-8.preview.test');
  assert.equal(asked.status, 401);
  assert.match(String(asked.headers['www-authenticate']), /^Basic/);
  assert.equal((await ask('shop-8.preview.test', '/', login('wrong'))).status, 401);
  assert.equal((await ask('shop-8.preview.test', '/', login('hiccup'))).text, 'p307:3000/');

  await routes.close();
  password = { user: 'review', hash: hashOf('another') };
  routes = await openCaddyRoutes(settings, tools);
  assert.equal((await ask('shop-8.preview.test', '/', login('hiccup'))).status, 401);
  assert.equal((await ask('shop-8.preview.test', '/', login('another'))).text, 'p307:3000/');
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
