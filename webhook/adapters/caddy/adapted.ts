/**
 * Reads the JSON that Caddy makes of a Caddyfile, and says whether it holds exactly what we meant: these hosts, for each of them these addresses and
 * ports, and no handler but the few that a route needs. Caddy's own validation is no check of input: it takes port 70000 and `nope`.
 */
import { z } from 'zod';

/** What a configuration does, as far as it matters for who is served what. */
export interface Meaning {
  /**
   * Host name that it answers to → what its requests are sent to, as `10.101.0.1:3000`. What is done for a kind of preview that was looked up stands
   * behind the host and `~<kind>`.
   */
  readonly sites: ReadonlyMap<string, ReadonlySet<string>>;
  /** How a host's preview is looked up: matchers on files and on what they set, as JSON. */
  readonly lookups: ReadonlySet<string>;
  /** Handlers and other things that no route of ours has. */
  readonly foreign: readonly string[];
}

const ownHandlers = new Set([
  'subroute',
  'reverse_proxy',
  'headers',
  'static_response',
  'rewrite',
  'error',
  'authentication',
]);
/** `rewrite` may strip a prefix, and nothing else. */
const handlerKeys: Readonly<Record<string, ReadonlySet<string>>> = {
  rewrite: new Set(['handler', 'strip_path_prefix']),
  reverse_proxy: new Set(['handler', 'transport', 'upstreams']),
};
const serverKeys = new Set(['listen', 'routes', 'errors', 'automatic_https', 'tls_connection_policies']);
const lookupMatchers = new Set(['file', 'vars_regexp']);

const object = z.record(z.string(), z.unknown());
const upstreams = z.array(z.strictObject({ dial: z.string() }));
const errorMatcher = z.strictObject({ '{http.error.status_code}': z.array(z.string()) });
/** A kind's name comes in two parts. */
const kindMatchers = [
  z.strictObject({ '{http.regexp.found.2}': z.tuple([z.string()]) }),
  z.strictObject({ '{http.regexp.found.3}': z.tuple([z.string()]) }),
] as const;
const authentication = z.strictObject({
  handler: z.string(),
  providers: z.strictObject({ http_basic: z.record(z.string(), z.unknown()) }),
});

/** Throws a ZodError when it is not a configuration at all. */
export function meaningOf(json: string): Meaning {
  const sites = new Map<string, Set<string>>();
  const lookups = new Set<string>();
  const foreign: string[] = [];

  const visitHandler = (handler: Record<string, unknown>, hosts: readonly string[]): void => {
    const kind = String(handler['handler']);
    if (!ownHandlers.has(kind)) foreign.push(`handler ${kind}`);
    const keys = handlerKeys[kind];
    for (const key of Object.keys(handler)) if (keys?.has(key) === false) foreign.push(`${kind} ${key}`);
    if (kind === 'subroute') visitRoutes(handler['routes'], hosts);
    if (kind === 'authentication' && !authentication.safeParse(handler).success) foreign.push('another login');
    if (kind === 'reverse_proxy') {
      for (const { dial } of upstreams.parse(handler['upstreams']))
        for (const host of hosts) sites.set(host, (sites.get(host) ?? new Set()).add(dial));
    }
  };
  const visitMatcher = (matcher: Record<string, unknown>): void => {
    for (const [key, value] of Object.entries(matcher)) {
      if (lookupMatchers.has(key)) lookups.add(JSON.stringify({ [key]: value }));
      else if (key === 'vars' ? !isOurs(value) : key !== 'path') foreign.push(`matcher ${key}`);
    }
  };
  const visitRoutes = (routes: unknown, hosts: readonly string[]): void => {
    for (const route of z.array(object).parse(routes ?? [])) {
      const matchers = z.array(object).parse(route['match'] ?? []);
      matchers.forEach(visitMatcher);
      const within = hosts.map((host) => host + kindPart(matchers));
      for (const handler of z.array(object).parse(route['handle'] ?? [])) visitHandler(handler, within);
    }
  };
  /** The routes of a server: each is one site, and says for which hosts before anything else. */
  const visitSites = (routes: unknown): void => {
    for (const route of z.array(object).parse(routes ?? [])) {
      const matchers = z.array(object).parse(route['match'] ?? [{}]);
      const hosts = matchers.flatMap((matcher) => z.array(z.string()).parse(matcher['host'] ?? ['']));
      for (const matcher of matchers)
        visitMatcher(Object.fromEntries(Object.entries(matcher).filter(([key]) => key !== 'host')));
      for (const host of hosts) sites.set(host, sites.get(host) ?? new Set());
      for (const handler of z.array(object).parse(route['handle'] ?? [])) visitHandler(handler, hosts);
    }
  };

  const config = object.parse(JSON.parse(json));
  for (const key of Object.keys(config)) if (key !== 'apps') foreign.push(key);
  const apps = object.parse(config['apps'] ?? {});
  for (const key of Object.keys(apps)) if (key !== 'http') foreign.push(`app ${key}`);
  const http = object.parse(apps['http'] ?? {});
  for (const server of Object.values(object.parse(http['servers'] ?? {}))) {
    const parts = object.parse(server);
    for (const key of Object.keys(parts)) if (!serverKeys.has(key)) foreign.push(`server ${key}`);
    visitSites(parts['routes']);
    visitSites(object.parse(parts['errors'] ?? {})['routes']);
  }
  return { sites, lookups, foreign };
}

const isOurs = (vars: unknown): boolean =>
  [errorMatcher, ...kindMatchers].some((schema) => schema.safeParse(vars).success);

/** `~` and the first part of a kind's name, or the second part; empty for a matcher of something else. */
function kindPart(matchers: readonly Record<string, unknown>[]): string {
  const [first, second] = kindMatchers.map((schema) => schema.safeParse(matchers[0]?.['vars']));
  if (first?.success === true) return `~${Object.values(first.data)[0]?.[0]}`;
  return second?.success === true ? (Object.values(second.data)[0]?.[0] ?? '') : '';
}

export interface Expected {
  readonly sites: ReadonlyMap<string, ReadonlySet<string>>;
  readonly lookups: ReadonlySet<string>;
}

/** What of the meaning is not as expected, in words; empty when all of it is. */
export function differences(meaning: Meaning, expected: Expected): string[] {
  const found = [...meaning.foreign, ...between(meaning.lookups, expected.lookups, 'looks up')];
  found.push(...between(new Set(meaning.sites.keys()), new Set(expected.sites.keys()), 'answers to'));
  for (const [host, dials] of expected.sites)
    found.push(...between(meaning.sites.get(host) ?? new Set(), dials, `for ${host}, asks`));
  return found;
}

function between(is: ReadonlySet<string>, wanted: ReadonlySet<string>, what: string): string[] {
  return [
    ...[...is].filter((each) => !wanted.has(each)).map((each) => `${what} ${each}`),
    ...[...wanted].filter((each) => !is.has(each)).map((each) => `${what} not ${each}`),
  ];
}
