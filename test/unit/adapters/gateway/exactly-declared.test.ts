/** Promise S12 for the gateway: what is served is exactly what was declared, whatever was asked in whatever order. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { matchRoute, orderedRoutes } from '../../../../webhook/adapters/gateway/match-route.ts';
import { checkedRoute } from '../../../../webhook/adapters/gateway/route-files.ts';
import { OperatorError } from '../../../../webhook/core/errors.ts';
import type { PreviewRoute } from '../../../../webhook/core/preview-route.ts';
import { aGateway, anApp, aRoute, ask, slug, type AGateway, type AnApp } from '../../../support/a-gateway.ts';

const slugs = ['shop-1', 'shop-2', 'a-shop-1', 'x'];
const prefixes = ['a', 'admin', 'shop'];
const paths = ['/', '/api', '/api/*', '/api/v1/*', '/docs/*'];
const ports = [3_000, 4_000, 5_000];

const routes = fc.uniqueArray(
  fc.record({
    path: fc.constantFrom(...paths),
    port: fc.constantFrom(...ports),
    stripPrefix: fc.boolean(),
  }),
  { selector: (route) => route.path, minLength: 1, maxLength: 4 },
);

const step = fc.record({
  slug: fc.constantFrom(...slugs),
  verb: fc.constantFrom('ensure', 'ensure', 'ensure', 'remove'),
  slot: fc.option(fc.integer({ min: 1, max: 3 })),
  routes,
  extraHosts: fc.dictionary(fc.constantFrom(...prefixes), routes, { maxKeys: 2 }),
  // Which app answers which declared port.
  turn: fc.nat(2),
});

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

function routeOf(one: Step, apps: readonly AnApp[]): PreviewRoute {
  const upstreams = Object.fromEntries(ports.map((port, at) => [port, apps[(at + one.turn) % apps.length]?.port ?? 0]));
  return aRoute(one.slug, { slot: one.slot, ports: upstreams, routes: one.routes, extraHosts: one.extraHosts });
}

const labelsOf = (route: PreviewRoute) => route.hosts.map((each) => each.label as string);

/** What each host and path must answer, read off the declared routes alone. */
function expected(world: ReadonlyMap<string, PreviewRoute>, label: string, path: string): string {
  for (const route of world.values()) {
    const host = route.hosts.find((each) => each.label === label);
    if (host === undefined) continue;
    if (route.answering === null) return '503';
    const match = matchRoute(orderedRoutes(host.routes), path);
    if (match === null) return '404';
    return match.kind === 'redirect' ? '307' : `${route.answering.upstreams[match.port]?.port} ${match.target}`;
  }
  return '404';
}

async function assertServed(door: AGateway, world: ReadonlyMap<string, PreviewRoute>): Promise<void> {
  const labels = new Set([
    ...slugs,
    ...slugs.flatMap((each) => prefixes.map((prefix) => `${prefix}-${each}`)),
    'nobody',
  ]);
  for (const label of labels) {
    for (const path of ['/', '/api', '/api/v1/x', '/docs']) {
      const reply = await ask(door.gateway.port, `${label}.localhost`, { path });
      const told = reply.status === 200 ? reply.body : String(reply.status);
      assert.equal(told, expected(world, label, path), `${label}${path}`);
    }
  }
  const bySlug = (all: PreviewRoute[]) => all.toSorted((a, b) => (a.slug < b.slug ? -1 : 1));
  assert.deepEqual(bySlug(await door.gateway.list()), bySlug([...world.values()]));
  const onDisk = readdirSync(door.directory).map(
    (name) => JSON.parse(readFileSync(join(door.directory, name), 'utf8')) as PreviewRoute,
  );
  assert.deepEqual(bySlug(onDisk), bySlug([...world.values()]));
}

void test('after any sequence of changes, hosts, paths and apps are those declared; after a restart too', async () => {
  const echo = () => anApp((request, response) => response.end(`${request.socket.localPort} ${request.url}`));
  await using first = await echo();
  await using second = await echo();
  await using third = await echo();
  const apps = [first, second, third];
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      await using door = await aGateway();
      const world = new Map<string, PreviewRoute>();
      for (const one of steps) {
        if (one.verb === 'remove') {
          await door.gateway.remove(slug(one.slug));
          world.delete(one.slug);
          continue;
        }
        const route = routeOf(one, apps);
        const isTaken = [...world.values()].some(
          (other) => other.slug !== route.slug && labelsOf(other).some((label) => labelsOf(route).includes(label)),
        );
        if (isTaken) await assert.rejects(door.gateway.ensure(route), { code: 'ROUTE_REFUSED' });
        else {
          await door.gateway.ensure(route);
          world.set(one.slug, route);
        }
      }
      await assertServed(door, world);
      await using again = await aGateway({ directory: door.directory });
      await assertServed(again, world);
    }),
    { numRuns: 20 },
  );
});

const hostile = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1e9,
    3.5,
    '',
    '*',
    '.',
    '..',
    '/',
    '//',
    '/../x',
    '/a b',
    '/a\nb',
    '/{x}',
    '/%2e',
    '*.localhost',
    'a.b',
    'localhost',
    '::1',
    '0.0.0.0:1',
    '127.0.0.1/8',
    '169.254.169.254\n',
    'shop-1',
    'SHOP-1',
    'xn--shop-1',
    '-shop-1',
    'p1',
    'p0',
    '../p1',
    [],
    {},
    [null],
    { '3000': { address: '::1', port: 1 } },
    { __proto__: null, address: '10.0.0.1', port: 1, more: 1 },
  ),
  fc.string(),
  fc.jsonValue(),
);

/** Every place in a value, as a list of keys. */
function placesOf(value: unknown, at: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, each]) => placesOf(each, [...at, key]))];
}

function replaced(value: unknown, place: readonly (string | number)[], by: unknown): unknown {
  const [key, ...rest] = place;
  if (key === undefined) return by;
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }) as Record<string, unknown>;
  copy[key] = replaced(copy[key], rest, by);
  return copy;
}

void test('a route with anything in it replaced is refused, or still names only hosts of its preview and addresses to dial', () => {
  const good = aRoute('shop-1', {
    ports: { 3000: 1_111, 4000: 2_222 },
    extraHosts: { admin: [{ path: '/x/*', port: 4_000 }] },
  });
  const places = placesOf(good);
  let refused = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...places), hostile), { minLength: 1, maxLength: 2 }),
      (mutations) => {
        let value: unknown = good;
        for (const [place, by] of mutations) value = replaced(value, place, by);
        let route: PreviewRoute;
        try {
          route = checkedRoute(value);
        } catch (error) {
          assert.ok(error instanceof OperatorError && error.code === 'ROUTE_REFUSED');
          refused += 1;
          return;
        }
        for (const { label, routes } of route.hosts) {
          assert.match(label, /^[a-z0-9-]+$/);
          assert.ok(label === (route.slug as string) || label.endsWith(`-${route.slug}`));
          for (const each of routes) {
            assert.match(each.path, /^(?:\/|(?:\/[A-Za-z0-9._~-]+)+(?:\/\*)?)$/);
            if (route.answering !== null) assert.ok(Object.hasOwn(route.answering.upstreams, each.port));
          }
        }
        for (const { address, port } of Object.values(route.answering?.upstreams ?? {}))
          assert.ok(isIPv4(address) && Number.isInteger(port) && port > 0 && port < 65_536);
      },
    ),
    { numRuns: 20_000 },
  );
  assert.ok(refused > 5_000, `only ${refused} were refused`);
});
