/** Promise S12 on the adapted JSON: whatever a manifest says, a preview answers to its own names and asks its own address, or is refused. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { differences, meaningOf, type Meaning } from '../../../webhook/adapters/caddy/adapted.ts';
import { checkedRouteFile } from '../../../webhook/adapters/caddy/route-files.ts';
import { candidateText, expectedOf } from '../../../webhook/adapters/caddy/candidate.ts';
import { manifestFrom } from '../../../webhook/core/app-manifest.ts';
import { extraHostLabel, hostLabelOf, parseSlug, type Slug } from '../../../webhook/core/names.ts';
import { parsePool } from '../../../webhook/core/slots.ts';

const settings = {
  domain: 'preview.test',
  scheme: 'http',
  directory: '/etc/caddy/previews',
  previewPool: parsePool('10.101.0.0/16') ?? assert.fail(),
} as const;
const slug = (text: string): Slug => parseSlug(text) ?? assert.fail(text);
const whole = (port: number) => [{ path: '/', port, stripPrefix: false }];

/** xorshift32: small, and its seed is all that a failing run needs to be repeated. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const passwords = ['a', 'review'].map((user) => ({ user, hash: `$2a$14$${'x'.repeat(53)}` }));
const hostilePaths = [
  'api',
  '//',
  '/a b',
  '/a\n}',
  '/a {',
  '/{$HOME}',
  '/{http.request.host}',
  '/%2e%2e',
  '*',
  '/**',
  '/é',
  '/../x',
  '/a/*',
  '/',
  '/x',
  '/x/*',
  '/a.b~c_d-e',
];
const hostilePorts = [3000, 4000, '3000', '3000 127.0.0.1:2019', 0, -1, 65536, 3000.5, 'nope', null, 22, 65535, 1];
const hostilePrefixes = [
  'a, evil.test, b',
  'x {',
  '*',
  'www',
  'docs',
  'xn--a',
  'UP',
  'a'.repeat(64),
  'a-b',
  '',
  'dashboard',
  '9',
];

/** What Caddy itself makes of a text. */
function adapted(text: string): Meaning {
  writeFileSync('/tmp/candidate', text);
  const words = ['adapt', '--config', '/tmp/candidate', '--adapter', 'caddyfile'];
  return meaningOf(execFileSync('caddy', words, { maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore'] }).toString());
}

test('S12: of 100,000 random metas each is refused, or each of its hosts asks exactly its own address and ports', () => {
  const seed = Number(process.env['BERTH_SEED'] ?? Date.now() % 2 ** 31) || 1;
  console.log(`S12: seed ${seed}`);
  const random = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const someRoutes = () =>
    Array.from({ length: 1 + random(3) }, () => ({
      path: random(3) === 0 ? pick(hostilePaths) : pick(['/', '/api', '/api/*', '/x.y/*', '/a/b/c', '/a/b/c/*']),
      port: random(6) === 0 ? pick(hostilePorts) : pick([3000, 4000]),
      ...(random(2) === 0 ? { stripPrefix: random(2) === 0 } : {}),
    }));
  let refused = 0;
  let checked = 0;
  let violations = 0;
  for (let batch = 0; batch < 100; batch += 1) {
    const files = [];
    for (let index = 0; index < 1000; index += 1) {
      const name = slug(`r-${batch}-${index}`);
      const manifest = manifestFrom({
        services: [
          { name: 'web', command: 'a', port: 3000 },
          { name: 'api', command: 'b', port: 4000 },
        ],
        routes: someRoutes(),
        ...(random(4) === 0 ? { extraHosts: [{ prefix: pick(hostilePrefixes), routes: someRoutes() }] } : {}),
      });
      if (!manifest.ok) {
        refused += 1;
        continue;
      }
      const basicAuth = random(8) === 0 ? pick(passwords) : null;
      const extra = manifest.manifest.extraHosts.map((each) => ({
        label: extraHostLabel(each.prefix, name),
        routes: each.routes,
      }));
      const hosts = [{ label: hostLabelOf(name), routes: manifest.manifest.routes }, ...extra];
      files.push(checkedRouteFile({ slug: name, address: `10.101.${batch}.${(index % 250) + 1}`, hosts, basicAuth }));
    }
    // One adaptation for the batch: each host asks its own address and ports, the site of all what is found, and nothing else is there.
    const found = differences(adapted(candidateText(settings, files)), expectedOf(settings, files));
    if (found.length > 0) console.log(found.slice(0, 5).join('\n'));
    violations += found.length;
    checked += files.length;
  }
  console.log(`S12: ${violations} violations in ${refused + checked} metas: ${refused} refused, ${checked} as meant`);
  assert.equal(violations, 0);
  assert.ok(checked > 10_000 && refused > 10_000);
});

test('the check of a candidate sees what does not belong there', () => {
  const file = checkedRouteFile({
    slug: 'shop-9',
    address: '10.101.0.9',
    hosts: [{ label: 'shop-9', routes: whole(3000) }],
  });
  const good = candidateText(settings, [file]);
  const wrong = [
    good.replace('10.101.0.9:3000 {', '127.0.0.1:2019 {'),
    good.replace('10.101.0.9:3000 {', '10.101.0.8:3000 {'),
    good.replace('{re.found.1}:3000', '127.0.0.1:2019'),
    good.replace('{re.found.1}:3000', '{http.request.header.X-Upstream}'),
    good.replace('handle_errors', 'file_server\nhandle_errors'),
    good.replace('http://shop-9.preview.test', 'http://shop-9.preview.test, http://evil.test'),
    good.replace('http://*.preview.test', 'http://*.preview.test, http://evil.test'),
    good.replace('keepalive off', 'keepalive off\n}\nheader_up X-Y z\nrewrite /internal\ntransport http {'),
    good.replace('root /etc/caddy/previews/hosts', 'root /'),
    good.replace('try_files /{re.preview.1}/*', 'try_files /{http.request.uri.path}'),
    good.replace('^([a-z0-9]|', '^(.*|'),
    good.replace('10\\.101\\.[0-9]+\\.[0-9]+', '[^~]+'),
    good.replace('vars {re.found.3}', 'vars {http.request.header.X-Kind}'),
  ];
  assert.deepEqual(differences(adapted(good), expectedOf(settings, [file])), []);
  for (const text of wrong) {
    assert.notEqual(text, good);
    let found: string[];
    try {
      found = differences(adapted(text), expectedOf(settings, [file]));
    } catch {
      found = ['refused by Caddy'];
    }
    assert.notDeepEqual(found, [], text);
  }
});
