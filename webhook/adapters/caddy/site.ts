/**
 * The text that Caddy reads, made from typed values alone. Pure.
 *
 * One site holds all previews, because matching and changing must stay flat in their number: with a site for each, the last of 5,000 got a
 * thirteenth of the requests of the first (shared/performance.md, section 3). Caddy searches a list of more than a hundred host names by halving
 * it, so previews with the same routes stand in groups a little larger than that, in two levels. Which address a host stands for is one line of
 * a map in its group; a preview's own file holds those lines, as snippets.
 *
 * An address is the preview's, not an instance's: which instance answers there is an element of an nftables map, so an update changes nothing here.
 */
import type { Route } from '../../core/app-manifest.ts';
import type { HostLabel, Slug } from '../../core/names.ts';

export interface SiteSettings {
  readonly domain: string;
  readonly scheme: 'http' | 'https';
}

/** What one preview's file says. */
export interface RouteFile {
  readonly slug: Slug;
  /** Where its instances answer, below. It changes only when the routes do. */
  readonly address: string;
  readonly hosts: readonly { readonly label: HostLabel; readonly routes: readonly Route[] }[];
}

/** From 101 names on Caddy halves instead of walking; twice that keeps groups in the fast range while previews come and go. */
const groupSize = 256;
const groupsPerLevel = 8;

/** The page while nothing answers: made by Caddy, so that it outlives the operator. It looks again by itself. */
const notUp =
  '<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=3><title>Not up yet</title>' +
  '<p>This preview does not answer right now. It may be coming up, or its app may be restarting. This page looks again by itself.';

export function hostOf(settings: SiteSettings, label: HostLabel): string {
  return `${label}.${settings.domain}`;
}

const snippetOf = (label: HostLabel): string => `berth-${label}`;

/** `<slug>.caddy`. The second line is what we read it back from; Caddy takes it for a comment. */
export function routeFileText(settings: SiteSettings, file: RouteFile): string {
  const snippets = file.hosts.map(
    ({ label }) => `(${snippetOf(label)}) {\n\t${hostOf(settings, label)} ${file.address}\n}\n`,
  );
  return `# Made by Berth. Changes are overwritten.\n# ${JSON.stringify(file)}\n${snippets.join('')}`;
}

interface Group {
  readonly routes: readonly Route[];
  readonly labels: readonly HostLabel[];
}

/** `~site.caddy`: sorted after every preview's file, so that the snippets are known. Empty when there is no preview. */
export function siteText(settings: SiteSettings, files: readonly RouteFile[]): string {
  const groups = groupsOf(files);
  if (groups.length === 0) return '';
  const sites = groups
    .flatMap(({ labels }) => labels)
    .map((label) => `${settings.scheme}://${hostOf(settings, label)}`);
  const levels = Array.from({ length: Math.ceil(groups.length / groupsPerLevel) }, (_, index) =>
    groups.slice(index * groupsPerLevel, (index + 1) * groupsPerLevel),
  );
  const hostsOf = (labels: readonly HostLabel[]) => labels.map((label) => hostOf(settings, label));
  const bodies = levels.map((level, index) => {
    const inner = level.map((group, at) => hostBlock(`g${index}_${at}`, hostsOf(group.labels), groupText(group)));
    return hostBlock(`l${index}`, hostsOf(level.flatMap((group) => group.labels)), inner.join(''));
  });
  return `# Made by Berth from the files beside it. Changes are overwritten.\n${sites.join(', ')} {
import cloudflare_tls
${bodies.join('')}handle_errors {
header Content-Type text/html
header Cache-Control no-store
header Retry-After 3
respond "${notUp}" 503
}
}
`;
}

/** Previews with the same routes stand together; sorted, so that the same previews always give the same text. */
function groupsOf(files: readonly RouteFile[]): Group[] {
  const byRoutes = new Map<string, { routes: readonly Route[]; labels: HostLabel[] }>();
  for (const { label, routes } of files.flatMap((file) => file.hosts)) {
    const key = JSON.stringify(routes);
    const group = byRoutes.get(key) ?? { routes, labels: [] };
    group.labels.push(label);
    byRoutes.set(key, group);
  }
  return [...byRoutes]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, { routes, labels }]) => {
      const sorted = labels.toSorted();
      const count = Math.ceil(sorted.length / groupSize);
      const size = Math.ceil(sorted.length / count);
      return Array.from({ length: count }, (_, index) => ({
        routes,
        labels: sorted.slice(index * size, (index + 1) * size),
      }));
    });
}

function hostBlock(name: string, hosts: readonly string[], body: string): string {
  return `@${name} host ${hosts.join(' ')}\nhandle @${name} {\n${body}}\n`;
}

function groupText({ routes, labels }: Group): string {
  const map = `map {host} {berth_address} {\n${labels.map((label) => `import ${snippetOf(label)}\n`).join('')}}\n`;
  const exact = new Set(routes.map((route) => route.path));
  const handles = routes.toSorted(moreSpecificFirst).map((route) => handleText(route, exact));
  const isWhole = routes.some((route) => route.path === '/');
  const rest = isWhole
    ? ''
    : routes.length === 0
      ? 'handle {\nerror 503\n}\n'
      : 'handle {\nrespond "No route here." 404\n}\n';
  return `${map}${handles.join('')}${rest}`;
}

/** Longest path first, `/` last (acceptance 5.7). An exact path is more specific than what is below it. */
function moreSpecificFirst(a: Route, b: Route): number {
  const length = (route: Route) => route.path.replace(/\/\*$/, '').length;
  return length(b) - length(a) || (a.path < b.path ? -1 : 1);
}

/** `/` has no matcher: with one it would match nothing but exactly `/`. */
function handleText(route: Route, declared: ReadonlySet<string>): string {
  const proxy = `reverse_proxy {berth_address}:${route.port} {
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
