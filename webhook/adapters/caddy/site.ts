/**
 * The text that Caddy reads, made from typed values alone. Pure.
 *
 * Every change of Caddy's configuration resets some requests and all WebSockets of every preview (docs/reference/container-runtime-figures.md), so previews come
 * and go without one. One site answers for `*.<domain>`. It looks the host name up in a folder: `hosts/<label>/<address>~<kind>`, an empty file whose name is
 * the answer. The address is the preview's (which instance answers there is an element of an nftables map); the kind is a list of routes, and all
 * previews with the same list share one block of the site. Only a list that no preview had before changes the configuration.
 *
 * What a request may choose by that: its label passes a pattern without dots, slashes and glob characters before it becomes part of a path, and what is
 * found passes one that admits nothing but an address of the previews' range and a kind.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Route } from '../../core/app-manifest.ts';
import type { HostLabel, Slug } from '../../core/names.ts';
import type { BasicAuth } from '../../core/policy.ts';
import type { AddressPool } from '../../core/slots.ts';

export interface SiteSettings {
  readonly domain: string;
  readonly scheme: 'http' | 'https';
  /** `/etc/caddy/previews`. */
  readonly directory: string;
  /** Addresses of previews. */
  readonly previewPool: AddressPool;
}

export interface RouteHost {
  readonly label: HostLabel;
  readonly routes: readonly Route[];
}

/** What one preview's file says. */
export interface RouteFile {
  readonly slug: Slug;
  /** Where its instances answer, below. It changes only when the routes do. */
  readonly address: string;
  readonly hosts: readonly RouteHost[];
  readonly basicAuth: BasicAuth | null;
}

/** What is done with a request once its preview is known; the same for all previews with the same routes and the same password. */
export interface Kind {
  readonly routes: readonly Route[];
  readonly basicAuth: BasicAuth | null;
}

/** Where Caddy itself answers with the operator's status page, or with one of its own when the operator is away (server-config/modules/ingress). */
export const STATUS_UPSTREAM = 'unix//run/caddy/status.sock';

/** Kinds are searched in two steps, so that a thousand of them cost little more than ten. */
const BUCKET_LENGTH = 1;
const KIND_LENGTH = 16;

/** The host name of a label, without a port. */
export function hostOf(settings: Pick<SiteSettings, 'domain'>, label: HostLabel): string {
  return `${label}.${settings.domain}`;
}

/** Where Caddy looks hosts up (lookups.ts). */
export function lookupDirectory(settings: Pick<SiteSettings, 'directory'>): string {
  return join(settings.directory, 'hosts');
}

/** Sixteen hexadecimal digits of SHA-256: its name follows from what it does. */
export function kindName(kind: Kind): string {
  const text = JSON.stringify([kind.routes, kind.basicAuth]);
  return createHash('sha256').update(text).digest('hex').slice(0, KIND_LENGTH);
}

/** What a preview needs Caddy to know: a kind for each of its hosts. */
export const kindsOf = ({ hosts, basicAuth }: RouteFile): Kind[] => hosts.map(({ routes }) => ({ routes, basicAuth }));

/** The name of the file that is found for a host: all that Caddy learns about it. */
export function lookupName(file: RouteFile, host: RouteHost): string {
  return `${file.address}~${kindName({ routes: host.routes, basicAuth: file.basicAuth })}`;
}

/**
 * `<slug>.caddy`: one site for each host (acceptance 5.7). Caddy's own reading of it is checked against what was meant; what serves requests is the
 * site of all previews. The second line is what we read it back from.
 */
export function routeFileText(settings: SiteSettings, file: RouteFile): string {
  const sites = file.hosts.map(({ label, routes }) => {
    const body = kindText({ routes, basicAuth: file.basicAuth }, file.address);
    return `${settings.scheme}://${hostOf(settings, label)} {\nimport cloudflare_tls\n${body}}\n`;
  });
  return `# Made by Berth. Changes are overwritten.\n# ${JSON.stringify(file)}\n${sites.join('')}`;
}

/** `previews.site`, which the host's configuration imports inside its site for `*.<domain>`. */
export function siteText(settings: SiteSettings, kinds: readonly Kind[]): string {
  const byBucket = Map.groupBy(kinds, (kind) => kindName(kind).slice(0, BUCKET_LENGTH));
  const buckets = [...byBucket].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const blocks = buckets.map(([bucket, members]) => {
    const inner = members.map((kind) => {
      const rest = kindName(kind).slice(BUCKET_LENGTH);
      return `@k${rest} vars {re.found.3} ${rest}\nhandle @k${rest} {\n${kindText(kind, '{re.found.1}')}}\n`;
    });
    return `@b${bucket} vars {re.found.2} ${bucket}\nhandle @b${bucket} {\n${inner.toSorted().join('')}}\n`;
  });
  const [label, found] = lookupPatterns(settings);
  // Tried twice: between reading the folder and looking at the file the preview may have got another address.
  return `# Made by Berth from the files beside it. Changes are overwritten.
# ${JSON.stringify(kinds)}
@preview vars_regexp preview {http.request.host} ${label}
handle @preview {
@known file {
root ${lookupDirectory(settings)}
try_files /{re.preview.1}/* /{re.preview.1}/*
}
handle @known {
@found vars_regexp found {http.matchers.file.relative} ${found}
handle @found {
${blocks.join('')}}
}
}
handle_errors {
@away vars {http.error.status_code} 502 503 504
handle @away {
reverse_proxy ${STATUS_UPSTREAM}
}
}
`;
}

/** What a host name must be before it is looked up, and what is found must be before it is asked. Without braces, which mean something to Caddy. */
export function lookupPatterns({ domain, previewPool }: SiteSettings): [label: string, found: string] {
  const escaped = domain.replaceAll('.', '\\.');
  const [network = '', length = ''] = previewPool.cidr.split('/');
  const fixed = network.split('.').slice(0, Math.floor(Number(length) / 8));
  const address = [...fixed, ...Array.from({ length: 4 - fixed.length }, () => '[0-9]+')].join('\\.');
  return [`^([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])\\.${escaped}$`, `^/?[a-z0-9-]+/(${address})~([0-9a-f])([0-9a-f]+)$`];
}

function kindText({ routes, basicAuth }: Kind, address: string): string {
  const exact = new Set(routes.map((route) => route.path));
  const handles = routes.toSorted(moreSpecificFirst).map((route) => handleText(route, address, exact));
  const isWhole = routes.some((route) => route.path === '/');
  const rest = isWhole
    ? ''
    : routes.length === 0
      ? 'handle {\nerror 503\n}\n'
      : 'handle {\nrespond "No route here." 404\n}\n';
  // Newer versions call it basic_auth, and still take this name.
  const login = basicAuth === null ? '' : `basicauth {\n${basicAuth.user} ${basicAuth.hash}\n}\n`;
  return `${login}${handles.join('')}${rest}`;
}

/** Longest path first, `/` last (acceptance 5.7). An exact path is more specific than what is below it. */
function moreSpecificFirst(a: Route, b: Route): number {
  const length = (route: Route) => route.path.replace(/\/\*$/, '').length;
  return length(b) - length(a) || (a.path < b.path ? -1 : 1);
}

/** `/` has no matcher: with one it would match nothing but exactly `/`. */
function handleText(route: Route, address: string, declared: ReadonlySet<string>): string {
  const proxy = `reverse_proxy ${address}:${route.port} {
transport http {
keepalive off
}
}
`;
  if (route.path === '/') return `handle {\n${proxy}}\n`;
  if (!route.stripPrefix) return `handle ${route.path} {\n${proxy}}\n`;
  const bare = route.path.replace(/\/\*$/, '');
  // Exactly the path has nothing left to strip to: the browser is sent to the folder, unless the path has a route of its own.
  const redirect = route.path !== bare && declared.has(bare) ? '' : `redir ${bare} ${bare}/\n`;
  return `${redirect}handle_path ${bare}/* {\n${proxy}}\n`;
}
