/** Promise S12 on the adapted JSON: whatever a manifest says, a preview answers to its own names and asks its own address, or is refused. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { differences, meaningOf } from '../../../webhook/adapters/caddy/adapted.ts';
import { checkedRouteFile } from '../../../webhook/adapters/caddy/route-files.ts';
import { candidateText, expectedOf } from '../../../webhook/adapters/caddy/routes.ts';
import { manifestFrom } from '../../../webhook/core/app-manifest.ts';
import { extraHostLabel, hostLabelOf, parseSlug, type Slug } from '../../../webhook/core/names.ts';

const settings = { domain: 'preview.test', scheme: 'http' } as const;
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

test('S12: of 100,000 random metas each is refused, or means exactly its own hosts, address and ports', () => {
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
      const extra = manifest.manifest.extraHosts.map((each) => ({
        label: extraHostLabel(each.prefix, name),
        routes: each.routes,
      }));
      const hosts = [{ label: hostLabelOf(name), routes: manifest.manifest.routes }, ...extra];
      files.push(checkedRouteFile({ slug: name, address: `10.101.${batch}.${(index % 250) + 1}`, hosts }));
    }
    // One adaptation for the batch: hosts and addresses must be those of all, and every dial one of some preview's own.
    writeFileSync('/tmp/candidate', candidateText(settings, files));
    const adapted = execFileSync('caddy', ['adapt', '--config', '/tmp/candidate', '--adapter', 'caddyfile'], {
      maxBuffer: 1e9,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const meaning = meaningOf(adapted.toString());
    const expected = files.map((file) => expectedOf(settings, file));
    const addressOf = new Map(expected.flatMap((each) => each.hosts.map((name) => [name, each.address] as const)));
    if (meaning.foreign.length > 0) violations += meaning.foreign.length;
    if (meaning.hosts.size !== addressOf.size) violations += 1;
    for (const name of meaning.hosts) if (!addressOf.has(name)) violations += 1;
    for (const [name, address] of meaning.addresses) if (addressOf.get(name) !== address) violations += 1;
    for (const dial of meaning.dials) if (!/^10\.101\.\d+\.\d+:(?:3000|4000)$/.test(dial)) violations += 1;
    checked += files.length;
    // And a sample alone, with everything that the adapter itself asks of a candidate.
    if (batch % 5 !== 0) continue;
    const sample = files[random(files.length)] ?? assert.fail();
    writeFileSync('/tmp/candidate', candidateText(settings, [sample]));
    const alone = execFileSync('caddy', ['adapt', '--config', '/tmp/candidate', '--adapter', 'caddyfile'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    assert.deepEqual(
      differences(meaningOf(alone.toString()), expectedOf(settings, sample)),
      [],
      JSON.stringify(sample),
    );
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
  const adapt = (text: string) => {
    writeFileSync('/tmp/candidate', text);
    return meaningOf(
      execFileSync('caddy', ['adapt', '--config', '/tmp/candidate', '--adapter', 'caddyfile'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      }).toString(),
    );
  };
  const good = candidateText(settings, [file]);
  const wrong = [
    good.replace('{berth_address}:3000', '127.0.0.1:2019'),
    good.replaceAll('10.101.0.9', '10.101.0.8'),
    good.replace('handle_errors', 'file_server\nhandle_errors'),
    good.replace('http://shop-9.preview.test', 'http://shop-9.preview.test, http://evil.test'),
    good.replace('keepalive off', 'keepalive off\n}\nheader_up X-Y z\nrewrite /internal\ntransport http {'),
    good.replace('host shop-9.preview.test', 'host shop-9.preview.test other.preview.test'),
  ];
  assert.deepEqual(differences(adapt(good), expectedOf(settings, file)), []);
  for (const text of wrong) {
    assert.notEqual(text, good);
    let found: string[];
    try {
      found = differences(adapt(text), expectedOf(settings, file));
    } catch {
      found = ['refused by Caddy'];
    }
    assert.notDeepEqual(found, [], text);
  }
});
