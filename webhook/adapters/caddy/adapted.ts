/**
 * Reads the JSON that Caddy makes of a Caddyfile, and says whether it holds exactly what we meant: these hosts, these addresses and ports, and no
 * handler but the few that a route needs. Caddy's own validation is no check of input: it takes port 70000 and `nope`.
 */
import { z } from 'zod';

/** What a configuration does, as far as it matters for who is served what. */
export interface Meaning {
  /** Host names that it answers to. */
  readonly hosts: ReadonlySet<string>;
  /** `10.101.0.1:3000`, with the addresses of the maps filled in. */
  readonly dials: ReadonlySet<string>;
  /** Host → address, from the maps. */
  readonly addresses: ReadonlyMap<string, string>;
  /** Handlers and other things that no route of ours has. */
  readonly foreign: readonly string[];
}

const ownHandlers = new Set(['subroute', 'map', 'reverse_proxy', 'headers', 'static_response', 'rewrite', 'error']);
/** `rewrite` may strip a prefix, and nothing else. */
const rewriteKeys = new Set(['handler', 'strip_path_prefix']);
const proxyKeys = new Set(['handler', 'transport', 'upstreams']);
const serverKeys = new Set(['listen', 'routes', 'errors', 'automatic_https', 'tls_connection_policies']);

const object = z.record(z.string(), z.unknown());
const mapHandler = z.object({
  source: z.literal('{http.request.host}'),
  destinations: z.tuple([z.literal('{berth_address}')]),
  mappings: z.array(z.strictObject({ input: z.string(), outputs: z.tuple([z.string()]) })),
});
const upstreams = z.array(z.strictObject({ dial: z.string() }));

/** Throws a ZodError when it is not a configuration at all. */
export function meaningOf(json: string): Meaning {
  const hosts = new Set<string>();
  const ports = new Set<string>();
  const addresses = new Map<string, string>();
  const foreign: string[] = [];

  const visitHandler = (handler: Record<string, unknown>): void => {
    const kind = String(handler['handler']);
    if (!ownHandlers.has(kind)) foreign.push(`handler ${kind}`);
    const allowed = kind === 'rewrite' ? rewriteKeys : kind === 'reverse_proxy' ? proxyKeys : null;
    for (const key of Object.keys(handler)) if (allowed?.has(key) === false) foreign.push(`${kind} ${key}`);
    if (kind === 'subroute') visitRoutes(handler['routes']);
    if (kind === 'map') {
      for (const { input, outputs } of mapHandler.parse(handler).mappings) addresses.set(input, outputs[0]);
    }
    if (kind === 'reverse_proxy') {
      for (const { dial } of upstreams.parse(handler['upstreams'])) {
        const port = /^\{berth_address\}:([1-9][0-9]{0,4})$/.exec(dial)?.[1];
        if (port === undefined) foreign.push(`dial ${dial}`);
        else ports.add(port);
      }
    }
  };
  const visitRoutes = (routes: unknown): void => {
    for (const route of z.array(object).parse(routes ?? [])) {
      for (const matcher of z.array(object).parse(route['match'] ?? [])) {
        for (const key of Object.keys(matcher)) if (key !== 'host' && key !== 'path') foreign.push(`matcher ${key}`);
        for (const name of z.array(z.string()).parse(matcher['host'] ?? [])) hosts.add(name);
      }
      for (const handler of z.array(object).parse(route['handle'] ?? [])) visitHandler(handler);
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
    visitRoutes(parts['routes']);
    visitRoutes(object.parse(parts['errors'] ?? {})['routes']);
  }
  const dials = new Set(
    [...new Set(addresses.values())].flatMap((address) => [...ports].map((port) => `${address}:${port}`)),
  );
  return { hosts, dials, addresses, foreign };
}

/** What of the meaning is not as expected, in words; empty when all of it is. */
export function differences(
  meaning: Meaning,
  expected: { hosts: readonly string[]; address: string; ports: readonly number[] },
): string[] {
  const { hosts, ports, address } = expected;
  const dials = new Set(ports.map((port) => `${address}:${port}`));
  return [
    ...meaning.foreign,
    ...[...meaning.hosts].filter((host) => !hosts.includes(host)).map((host) => `answers to ${host}`),
    ...hosts.filter((host) => !meaning.hosts.has(host)).map((host) => `does not answer to ${host}`),
    ...hosts
      .filter((host) => meaning.addresses.get(host) !== address)
      .map((host) => `${host} stands for another address`),
    ...[...meaning.addresses.keys()].filter((host) => !hosts.includes(host)).map((host) => `maps ${host}`),
    ...[...meaning.dials].filter((dial) => !dials.has(dial)).map((dial) => `asks ${dial}`),
    ...[...dials].filter((dial) => !meaning.dials.has(dial)).map((dial) => `does not ask ${dial}`),
  ];
}
