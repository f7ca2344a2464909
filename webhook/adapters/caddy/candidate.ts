/** The check of a route before it counts: what Caddy itself makes of it must be what was meant. */
import { OperatorError } from '../../core/errors.ts';
import type { HostDaemon } from '../../core/host-verbs.ts';
import { differences, meaningOf, type Expected } from './adapted.ts';
import {
  hostOf,
  kindName,
  kindsOf,
  lookupDirectory,
  lookupPatterns,
  routeFileText,
  siteText,
  STATUS_UPSTREAM,
  type Kind,
  type RouteFile,
  type SiteSettings,
} from './site.ts';

/**
 * The preview's own file, and the site with its kinds alone, must mean its hosts, its address and its ports, and nothing else. Throws ROUTE_REFUSED.
 */
export async function checkCandidate(settings: SiteSettings, hostd: HostDaemon, file: RouteFile): Promise<void> {
  const adapted = await hostd.ask({ verb: 'adapt-caddyfile', text: candidateText(settings, [file]) });
  if ('refused' in adapted)
    throw new OperatorError('ROUTE_REFUSED', `Caddy refused the route of ${file.slug}.`, { detail: adapted.refused });
  const found = differences(meaningOf(resultIn(adapted.json)), expectedOf(settings, [file]));
  if (found.length === 0) return;
  throw new OperatorError('ROUTE_REFUSED', `The route of ${file.slug} would not mean what it should.`, {
    detail: found.join('\n'),
  });
}

/** The candidates as a whole Caddyfile, with the site as the host's own configuration imports it; the snippet that this one brings is empty here. */
export function candidateText(settings: SiteSettings, files: readonly RouteFile[]): string {
  const own = files.map((file) => routeFileText(settings, file)).join('');
  const kinds = new Map(files.flatMap(kindsOf).map((kind) => [kindName(kind), kind]));
  const site = `${settings.scheme}://*.${settings.domain} {\nimport cloudflare_tls\n${siteText(settings, [...kinds.values()])}}\n`;
  return `{\nauto_https off\n}\n(cloudflare_tls) {\n}\n${own}${site}`;
}

/** What the candidates must mean: each host asks its own address and ports; in the common site each kind asks its ports at what was found, and nothing else. */
export function expectedOf(settings: SiteSettings, files: readonly RouteFile[]): Expected {
  const dials = ({ routes }: Kind, address: string) => new Set(routes.map(({ port }) => `${address}:${port}`));
  const own = files.flatMap((file) =>
    file.hosts.map(({ label, routes }): [string, Set<string>] => [
      hostOf(settings, label),
      dials({ routes, basicAuth: null }, file.address),
    ]),
  );
  const wildcard = `*.${settings.domain}`;
  const kinds = files
    .flatMap(kindsOf)
    .filter(({ routes }) => routes.length > 0)
    .map((kind): [string, Set<string>] => [`${wildcard}~${kindName(kind)}`, dials(kind, '{http.regexp.found.1}')]);
  const [label, name] = lookupPatterns(settings);
  const lookups = [
    { vars_regexp: { '{http.request.host}': { name: 'preview', pattern: label } } },
    {
      file: {
        root: lookupDirectory(settings),
        try_files: ['/{http.regexp.preview.1}/*', '/{http.regexp.preview.1}/*'],
      },
    },
    { vars_regexp: { '{http.matchers.file.relative}': { name: 'found', pattern: name } } },
  ].map((matcher) => JSON.stringify(matcher));
  return { sites: new Map([...own, ...kinds, [wildcard, new Set([STATUS_UPSTREAM])]]), lookups: new Set(lookups) };
}

/** POST /adapt wraps the configuration: `{"warnings": […], "result": {…}}`. */
function resultIn(json: string): string {
  return JSON.stringify((JSON.parse(json) as { result?: unknown }).result ?? null);
}
