/**
 * Routes over Caddy, files and an nftables map. Caddy's configuration changes only when a preview comes, goes, or has other routes than before;
 * which instance answers is an element of the map below (hostd), because every change of Caddy's configuration resets some connections.
 *
 * A candidate is adapted on its own first, and must mean exactly what we meant. Changes that come together are loaded together, one load at a
 * time. If Caddy refuses the whole, the file that it refuses alone is set aside and the rest goes through.
 */
import { OperatorError } from '../../core/errors.ts';
import type { HostDaemon } from '../../core/host-verbs.ts';
import { slotOf, type HostLabel, type InstanceName, type Slug } from '../../core/names.ts';
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
  const routes = new CaddyRoutes({ settings, hostd, log });
  await routes.open();
  return routes;
}

interface Tools {
  readonly settings: CaddySettings;
  readonly hostd: HostDaemon;
  readonly log: Log;
}

class CaddyRoutes implements Routes {
  readonly #tools: Tools;
  readonly #files = new Map<Slug, RouteFile>();
  /** The kernel's answers by address, as hostd told them at the start; this process alone changes them. */
  readonly #answers = new Map<string, Answering>();
  readonly #load: () => Promise<void>;

  constructor(tools: Tools) {
    this.#tools = tools;
    this.#load = coalesced(() => loadAll(tools, this.#files));
  }

  async open(): Promise<void> {
    const { settings, hostd } = this.#tools;
    for (const file of await readRouteFiles(settings.directory)) this.#files.set(file.slug, file);
    for (const { address, name, ports } of await hostd.ask({ verb: 'list-answers' }))
      this.#answers.set(address, { instance: name, ports });
    await this.#load();
  }

  observe(slug: Slug): Promise<PreviewRoute | null> {
    const file = this.#files.get(slug);
    return Promise.resolve(file === undefined ? null : this.#routeFrom(file));
  }

  list(): Promise<PreviewRoute[]> {
    return Promise.resolve([...this.#files.values()].map((file) => this.#routeFrom(file)));
  }

  async ensure(route: PreviewRoute): Promise<void> {
    const before = this.#files.get(route.slug);
    if (before !== undefined && JSON.stringify(before.hosts) === JSON.stringify(hostsOf(route))) {
      await this.#answer(before.address, route.answering);
      return;
    }
    // Other routes get another address: until Caddy has them, requests go on to the old address and what answers there.
    const file = checkedRouteFile({ slug: route.slug, address: this.#freeAddress(), hosts: hostsOf(route) });
    this.#files.set(route.slug, file);
    try {
      await this.#putInForce(file, route.answering);
    } catch (error) {
      await this.#undo(file, before);
      throw error;
    }
    if (before !== undefined) await this.#answer(before.address, null);
  }

  async remove(slug: Slug): Promise<void> {
    const { directory } = this.#tools.settings;
    const file = this.#files.get(slug);
    if (file === undefined) return removeRouteFile(directory, slug);
    this.#files.delete(slug);
    // The site first: a Caddy that starts in between must find every snippet that the site names.
    await this.#load();
    await this.#answer(file.address, null);
    await removeRouteFile(directory, slug);
  }

  inFlight(_slug: Slug, instance: InstanceName): Promise<number> {
    return this.#tools.hostd.ask({ verb: 'count-connections', name: instance });
  }

  addressOf(label: HostLabel): { host: string; url: string } {
    const { settings } = this.#tools;
    const host = hostOf(settings, label) + (settings.publicPort === null ? '' : `:${settings.publicPort}`);
    return { host, url: `${settings.scheme}://${host}` };
  }

  async #putInForce(file: RouteFile, answering: PreviewRoute['answering']): Promise<void> {
    const { settings } = this.#tools;
    await checkCandidate(this.#tools, file);
    await this.#answer(file.address, answering);
    await saveRouteFile(settings.directory, settings, file);
    await this.#load();
    if (!this.#files.has(file.slug))
      throw new OperatorError('ROUTE_REFUSED', `Caddy refused the route of ${file.slug}.`);
  }

  async #undo(file: RouteFile, before: RouteFile | undefined): Promise<void> {
    const { settings } = this.#tools;
    await this.#answer(file.address, null).catch(() => undefined);
    if (before === undefined) {
      this.#files.delete(file.slug);
      await removeRouteFile(settings.directory, file.slug);
    } else {
      this.#files.set(before.slug, before);
      await saveRouteFile(settings.directory, settings, before);
    }
    // What is on disk must be what Caddy would start with.
    await this.#load().catch(() => undefined);
  }

  /** From now on this answers at the address, or nothing does: one atomic change in the kernel. */
  async #answer(address: string, to: PreviewRoute['answering']): Promise<void> {
    const ports = to === null ? [] : Object.keys(to.upstreams).map(Number);
    const target = to === null ? null : { name: to.instance, ports };
    await this.#tools.hostd.ask({ verb: 'switch-answers', address, to: target });
    if (to === null) this.#answers.delete(address);
    else this.#answers.set(address, { instance: to.instance, ports });
  }

  #routeFrom(file: RouteFile): PreviewRoute {
    const answering = this.#answers.get(file.address);
    const shown = answering === undefined ? null : upstreamsOf(this.#tools.settings, answering);
    return { slug: file.slug, hosts: file.hosts, answering: shown };
  }

  /** The lowest address that no preview has. Slot N of the preview pool gives one: its instance side. */
  #freeAddress(): string {
    const { previewPool } = this.#tools.settings;
    const used = new Set([...this.#answers.keys(), ...[...this.#files.values()].map((file) => file.address)]);
    for (let slot = 1; slot <= previewPool.slotMax; slot += 1) {
      const address = addressesOf(previewPool, slot).instance;
      if (!used.has(address)) return address;
    }
    throw new OperatorError(
      'SLOTS_EXHAUSTED',
      `All ${previewPool.slotMax} addresses of ${previewPool.cidr} are in use.`,
    );
  }
}

interface Answering {
  readonly instance: InstanceName;
  readonly ports: readonly number[];
}

function hostsOf(route: PreviewRoute): RouteFile['hosts'] {
  return route.hosts.map(({ label, routes }) => ({
    label,
    routes: routes.map(({ path, port, stripPrefix }) => ({ path, port, stripPrefix })),
  }));
}

function upstreamsOf(
  settings: CaddySettings,
  { instance, ports }: Answering,
): { instance: InstanceName; upstreams: Upstreams } {
  const address = addressesOf(settings.pool, slotOf(instance)).instance;
  return { instance, upstreams: Object.fromEntries(ports.map((port) => [String(port), { address, port }])) };
}

/** The preview's file alone, in a site alone, must mean its hosts, its address and its ports, and nothing else. */
async function checkCandidate({ settings, hostd }: Tools, file: RouteFile): Promise<void> {
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

async function loadAll({ settings, hostd, log }: Tools, files: Map<Slug, RouteFile>): Promise<void> {
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
