import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { matchRoute, orderedRoutes, type RouteMatch } from '../../../../webhook/adapters/gateway/match-route.ts';
import { appManifestSchema, type Route } from '../../../../webhook/core/app-manifest.ts';

const segment = fc.constantFrom('a', 'b', 'ab', 'api', 'x.y', '~', 'A');
const routePath = fc
  .tuple(fc.array(segment, { maxLength: 3 }), fc.boolean())
  .map(([parts, isTree]) => (parts.length === 0 ? '/' : `/${parts.join('/')}${isTree ? '/*' : ''}`));
const routes = fc
  .uniqueArray(fc.record({ path: routePath, port: fc.integer({ min: 1, max: 9 }), stripPrefix: fc.boolean() }), {
    selector: (route) => route.path,
    minLength: 1,
    maxLength: 8,
  })
  .filter((all) => appManifestSchema.shape.routes.safeParse(all).success);
const requestTarget = fc
  .tuple(
    fc.array(fc.oneof(segment, fc.constantFrom('', '.', '..', '%61pi', '*')), { maxLength: 4 }),
    fc.constantFrom('', '?', '?q=/a/b', '??'),
  )
  .map(([parts, query]) => `/${parts.join('/')}${query}`);

/** What the manifest's reference says, word for word and slowly: try every route, keep the longest that applies. */
function oracle(all: readonly Route[], target: string): RouteMatch | null {
  const [path = '', ...rest] = target.split('?');
  const query = target.includes('?') ? `?${rest.join('?')}` : '';
  const best = { length: 0, match: null as RouteMatch | null };
  for (const route of all) {
    const isTree = route.path.endsWith('/*');
    const base = isTree ? route.path.slice(0, -2) : route.path;
    let match: RouteMatch | null = null;
    if (route.path === '/') match = { kind: 'forward', port: route.port, target };
    else if (isTree && path.startsWith(`${base}/`))
      match = {
        kind: 'forward',
        port: route.port,
        target: route.stripPrefix ? path.slice(base.length) + query : target,
      };
    else if (!isTree && path === base)
      match = { kind: 'forward', port: route.port, target: route.stripPrefix ? `/${query}` : target };
    else if (isTree && path === base && route.stripPrefix && !all.some((each) => each.path === base))
      match = { kind: 'redirect', location: `${base}/${query}` };
    const length = route.path === '/' ? 1 : base.length + (isTree ? 1 : 0);
    if (match !== null && length > best.length) Object.assign(best, { length, match });
  }
  return best.match;
}

void test('matching agrees with the slow reading of the rules, for any routes and any path', () => {
  fc.assert(
    fc.property(routes, requestTarget, (all, target) => {
      assert.deepEqual(matchRoute(orderedRoutes(all), target), oracle(all, target));
    }),
    { numRuns: 20_000 },
  );
});

void test('the order in which routes are declared makes no difference', () => {
  fc.assert(
    fc.property(routes, requestTarget, (all, target) => {
      assert.deepEqual(matchRoute(orderedRoutes(all.toReversed()), target), matchRoute(orderedRoutes(all), target));
    }),
    { numRuns: 2_000 },
  );
});
