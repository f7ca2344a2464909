/**
 * Routes over Caddy, files and an nftables map. Caddy's configuration changes only when a preview comes, goes, or has other routes than before;
 * which instance answers is an element of the map below (hostd), because every change of Caddy's configuration resets some connections.
 *
 * A candidate is adapted on its own first, and must mean exactly what we meant. Changes that come together are loaded together, one load at a
 * time. If Caddy refuses the whole, the file that it refuses alone is set aside and the rest goes through.
 */
import { OperatorError } from '../../core/errors.ts';
import type { HostDaemon } from '../../core/host-verbs.ts';
import { slotOf, type InstanceName, type Slug } from '../../core/names.ts';
import type { Upstreams } from '../../core/preview.ts';
import { addressesOf, type AddressPool } from '../../core/slots.ts';
import type { Log, PreviewRoute, Routes } from '../../ports.ts';
import { differences, meaningOf } from './adapted.ts';
import {
  checkedRouteFile,
  quarantine,
  readRouteFiles,
  removeRouteFile,
  saveRouteFile,
  saveSite,
} from './route-files.ts';
import { hostOf, routeFileText, siteText, type RouteFile, type SiteSettings } from './site.ts';

export interface CaddySettings extends SiteSettings {
  /** `/etc/caddy/previews`. */
  readonly directory: string;
  /** Instances' addresses, and previews'. hostd has the same. */
  readonly pool: AddressPool;
  readonly previewPool: AddressPool;
  /** The port in URLs, where it is not the scheme's own. */
  readonly publicPort: number | null;
}

/** Reads what is there and puts it in force. Throws RUNTIME_FAILED when hostd or Caddy do not answer. */
export async function openCaddyRoutes(settings: CaddySettings, hostd: HostDaemon, log: Log): Promise<Routes> {
  const { directory } = settings;
  const files = new Map((await readRouteFiles(directory)).map((file) => [file.slug, file]));
  /** The kernel's answers, as hostd told them last; this process alone changes them. */
  const answers = new Map<string, { instance: InstanceName; ports: readonly number[] }>();
  for (const { address, name, ports } of await hostd.ask({ verb: 'list-answers' }))
    answers.set(address, { instance: name, ports });
  const load = coalesced(() => loadAll(settings, hostd, files, log));
  await load();

  const answer = async (address: string, to: PreviewRoute['answering']): Promise<void> => {
    const ports = to === null ? [] : Object.keys(to.upstreams).map(Number);
    await hostd.ask({ verb: 'switch-answers', address, to: to === null ? null : { name: to.instance, ports } });
    if (to === null) answers.delete(address);
    else answers.set(address, { instance: to.instance, ports });
  };
  const routeFrom = (file: RouteFile): PreviewRoute => {
    const answering = answers.get(file.address);
    return {
      slug: file.slug,
      hosts: file.hosts,
      answering: answering === undefined ? null : upstreamsOf(settings, answering),
    };
  };

  return {
    observe: async (slug) => {
      const file = files.get(slug);
      return file === undefined ? null : routeFrom(file);
    },
    list: async () => [...files.values()].map(routeFrom),
    ensure: async (route) => {
      const before = files.get(route.slug);
      if (before !== undefined && JSON.stringify(before.hosts) === JSON.stringify(hostsOf(route))) {
        await answer(before.address, route.answering);
        return;
      }
      // Other routes get another address: until Caddy has them, requests go on to the old address and what answers there.
      const address = freeAddress(
        settings.previewPool,
        [...files.values()].map((file) => file.address),
        answers,
      );
      const file = checkedRouteFile({ slug: route.slug, address, hosts: hostsOf(route) });
      files.set(route.slug, file);
      try {
        await checkCandidate(settings, hostd, file);
        await answer(address, route.answering);
        await saveRouteFile(directory, settings, file);
        await load();
        if (!files.has(route.slug))
          throw new OperatorError('ROUTE_REFUSED', `Caddy refused the route of ${route.slug}.`);
      } catch (error) {
        await answer(address, null).catch(() => undefined);
        if (before === undefined) {
          files.delete(route.slug);
          await removeRouteFile(directory, route.slug);
        } else {
          files.set(route.slug, before);
          await saveRouteFile(directory, settings, before);
        }
        // What is on disk must be what Caddy would start with.
        await load().catch(() => undefined);
        throw error;
      }
      if (before !== undefined) await answer(before.address, null);
    },
    remove: async (slug) => {
      const file = files.get(slug);
      if (file === undefined) return removeRouteFile(directory, slug);
      files.delete(slug);
      // The site first: a Caddy that starts in between must find every snippet that the site names.
      await load();
      await answer(file.address, null);
      await removeRouteFile(directory, slug);
    },
    inFlight: async (_slug, instance) => hostd.ask({ verb: 'count-connections', name: instance }),
    addressOf: (label) => {
      const host = hostOf(settings, label) + (settings.publicPort === null ? '' : `:${settings.publicPort}`);
      return { host, url: `${settings.scheme}://${host}` };
    },
  };
}

function hostsOf(route: PreviewRoute): RouteFile['hosts'] {
  return route.hosts.map(({ label, routes }) => ({
    label,
    routes: routes.map(({ path, port, stripPrefix }) => ({ path, port, stripPrefix })),
  }));
}

function upstreamsOf(
  settings: CaddySettings,
  { instance, ports }: { instance: InstanceName; ports: readonly number[] },
): { instance: InstanceName; upstreams: Upstreams } {
  const address = addressesOf(settings.pool, slotOf(instance)).instance;
  return { instance, upstreams: Object.fromEntries(ports.map((port) => [String(port), { address, port }])) };
}

/** The lowest address that no preview has. Slot N of the preview pool gives one: its instance side. */
function freeAddress(pool: AddressPool, taken: readonly string[], answers: ReadonlyMap<string, unknown>): string {
  const used = new Set([...taken, ...answers.keys()]);
  for (let slot = 1; slot <= pool.slotMax; slot += 1) {
    const address = addressesOf(pool, slot).instance;
    if (!used.has(address)) return address;
  }
  throw new OperatorError('SLOTS_EXHAUSTED', `All ${pool.slotMax} addresses of ${pool.cidr} are in use.`);
}

/** The preview's file alone, in a site alone, must mean its hosts, its address and its ports, and nothing else. */
async function checkCandidate(settings: CaddySettings, hostd: HostDaemon, file: RouteFile): Promise<void> {
  const text = candidateText(settings, [file]);
  const adapted = await hostd.ask({ verb: 'adapt-caddyfile', text });
  if ('refused' in adapted)
    throw new OperatorError('ROUTE_REFUSED', `Caddy refused the route of ${file.slug}.`, { detail: adapted.refused });
  const found = differences(meaningOf(resultIn(adapted.json)), expectedOf(settings, file));
  if (found.length === 0) return;
  throw new OperatorError('ROUTE_REFUSED', `The route of ${file.slug} would not mean what it should.`, {
    detail: found.join('\n'),
  });
}

/** The candidate as a whole Caddyfile; the snippet that the host's own configuration brings is empty here. */
export function candidateText(settings: SiteSettings, files: readonly RouteFile[]): string {
  const parts = files.map((file) => routeFileText(settings, file)).join('');
  return `{\nauto_https off\n}\n(cloudflare_tls) {\n}\n${parts}${siteText(settings, files)}`;
}

export function expectedOf(
  settings: SiteSettings,
  file: RouteFile,
): { hosts: string[]; address: string; ports: number[] } {
  const ports = new Set(file.hosts.flatMap((host) => host.routes.map((route) => route.port)));
  return { hosts: file.hosts.map((host) => hostOf(settings, host.label)), address: file.address, ports: [...ports] };
}

/** POST /adapt wraps the configuration: `{"warnings": […], "result": {…}}`. */
function resultIn(json: string): string {
  return JSON.stringify((JSON.parse(json) as { result?: unknown }).result ?? null);
}

async function loadAll(
  settings: CaddySettings,
  hostd: HostDaemon,
  files: Map<Slug, RouteFile>,
  log: Log,
): Promise<void> {
  await saveSite(settings.directory, settings, [...files.values()]);
  const first = await hostd.ask({ verb: 'load-routes' });
  if (first.refused === null) return;
  const names = await quarantine(settings.directory, async (text) => {
    const adapted = await hostd.ask({ verb: 'adapt-caddyfile', text: `(cloudflare_tls) {\n}\n${text}` });
    return 'refused' in adapted;
  });
  log.error({ refused: first.refused, names }, 'Caddy refused the routes; files that it refuses alone are set aside');
  for (const name of names) files.delete(name.replace(/\.caddy$/, '') as Slug);
  await saveSite(settings.directory, settings, [...files.values()]);
  const second = await hostd.ask({ verb: 'load-routes' });
  if (second.refused !== null)
    throw new OperatorError('ROUTE_REFUSED', 'Caddy refuses its configuration, and not because of a preview.', {
      detail: second.refused,
    });
}

/** Runs one at a time; whoever asks while one runs shares the next with all others who do. */
function coalesced(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;
  return () => {
    next ??= running
      .catch(() => undefined)
      .then(() => {
        running = next ?? Promise.resolve();
        next = null;
        return work();
      });
    return next;
  };
}
