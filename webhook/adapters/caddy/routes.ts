/**
 * Routes over Caddy, a folder and an nftables map. Which instance answers is an element of the map (hostd); which preview a host name is, Caddy looks up in
 * the folder (lookups.ts). Its configuration changes only for a list of routes that no preview had before (site-in-force.ts), because every change of it
 * resets some connections.
 *
 * A candidate is adapted first, and must mean exactly what we meant.
 */
import { join } from 'node:path';
import { OperatorError } from '../../core/errors.ts';
import type { HostDaemon } from '../../core/host-verbs.ts';
import { slotOf, type HostLabel, type InstanceName, type Slug } from '../../core/names.ts';
import type { BasicAuth } from '../../core/policy.ts';
import type { Upstreams } from '../../core/preview.ts';
import { addressesOf, type AddressPool } from '../../core/slots.ts';
import type { PreviewRoute, RouteDefect } from '../../core/preview-route.ts';
import type { Log, Routes } from '../../ports.ts';
import { checkCandidate } from './candidate.ts';
import { folderDefects } from './folder-check.ts';
import { putAllLookups, putLookup, removeLookup } from './lookups.ts';
import {
  checkedRouteFile,
  foreignSites,
  ownFileOf,
  readRouteFiles,
  removeRouteFile,
  saveRouteFile,
  setAside,
  setAsideName,
  siteFile,
} from './route-files.ts';
import { SiteInForce } from './site-in-force.ts';
import { hostOf, kindName, kindsOf, lookupDirectory, lookupName, type RouteFile, type SiteSettings } from './site.ts';
import { openStatusServer, type StatusPage } from './status-server.ts';

export interface CaddySettings extends SiteSettings {
  /** Instances' addresses. hostd has the same, and the same `previewPool`. */
  readonly pool: AddressPool;
  /** The port in URLs, where it is not the scheme's own. */
  readonly publicPort: number | null;
}

export interface Tools {
  readonly hostd: HostDaemon;
  readonly log: Log;
  /** The password that a preview asks for, as the configuration has it now. */
  readonly basicAuthOf: (slug: Slug) => Promise<BasicAuth | null>;
  /** What to show while nothing answers. */
  readonly statusPage: (slug: Slug) => Promise<StatusPage>;
}

export interface CaddyRoutes extends Routes {
  /** Caddy goes on alone: routes stay, and where nothing answers it shows a page of its own. */
  close(): Promise<void>;
}

/** Reads what is there and puts it in force. Throws RUNTIME_FAILED when hostd or Caddy do not answer. */
export async function openCaddyRoutes(settings: CaddySettings, tools: Tools): Promise<CaddyRoutes> {
  const routes = new RoutesOfCaddy(settings, tools);
  await routes.open();
  return routes;
}

class RoutesOfCaddy implements CaddyRoutes {
  readonly #settings: CaddySettings;
  readonly #tools: Tools;
  readonly #lookups: string;
  readonly #files = new Map<Slug, RouteFile>();
  /** Files that are being replaced: Caddy still finds what they say. */
  readonly #leaving = new Set<RouteFile>();
  /** One entry for each change under way: of two changes of one preview, the first to end leaves the other's. */
  readonly #changes = new Set<{ readonly slug: Slug }>();
  /** The kernel's answers by address, as hostd told them at the start; this process alone changes them. */
  readonly #answers = new Map<string, Answering>();
  readonly #site: SiteInForce;
  #closeStatusServer: () => Promise<void> = () => Promise.resolve();

  constructor(settings: CaddySettings, tools: Tools) {
    this.#settings = settings;
    this.#tools = tools;
    this.#lookups = lookupDirectory(settings);
    const inUse = () => [...this.#files.values(), ...this.#leaving].flatMap(kindsOf);
    this.#site = new SiteInForce({ settings, hostd: tools.hostd, log: tools.log, inUse });
  }

  async open(): Promise<void> {
    const { directory } = this.#settings;
    const { hostd, log, statusPage } = this.#tools;
    for (const file of await readRouteFiles(directory)) await this.#takeUp(file);
    for (const { address, name, ports } of await hostd.ask({ verb: 'list-answers' }))
      this.#answers.set(address, { instance: name, ports });
    const refused = await this.#site.open();
    for (const file of this.#files.values()) {
      if (!kindsOf(file).some((kind) => refused.includes(kindName(kind)))) continue;
      this.#files.delete(file.slug);
      await setAside(directory, ownFileOf(file.slug));
      log.error({ slug: file.slug }, 'the route of this preview is set aside: Caddy refuses it');
    }
    // What a crash left, or a file that was set aside.
    const addresses = new Set([...this.#files.values()].map((file) => file.address));
    for (const address of this.#answers.keys()) if (!addresses.has(address)) await this.#answer(address, null);
    await putAllLookups(this.#lookups, new Map([...this.#files.values()].flatMap(lookupsOf)));
    this.#closeStatusServer = await openStatusServer({
      socket: join(directory, 'status.sock'),
      domain: this.#settings.domain,
      slugOf: (label) => this.#slugOf(label),
      statusPage,
      log,
    });
  }

  close(): Promise<void> {
    return this.#closeStatusServer();
  }

  /** A file from before our start; the configuration may say another password by now. */
  async #takeUp(file: RouteFile): Promise<void> {
    const now = { ...file, basicAuth: await this.#tools.basicAuthOf(file.slug) };
    if (JSON.stringify(now) !== JSON.stringify(file)) await saveRouteFile(this.#settings, now);
    this.#files.set(file.slug, now);
  }

  observe(slug: Slug): Promise<PreviewRoute | null> {
    const file = this.#files.get(slug);
    return Promise.resolve(file === undefined ? null : this.#routeFrom(file));
  }

  list(): Promise<PreviewRoute[]> {
    return Promise.resolve([...this.#files.values()].map((file) => this.#routeFrom(file)));
  }

  /** Read from disk, while others may be at work: what a change explains is no defect. */
  async defects(): Promise<RouteDefect[]> {
    const before = new Map(this.#files);
    const changing = this.#changing();
    const found = await folderDefects(this.#settings, [...before.values()]);
    const isStill = (slug: Slug) =>
      before.get(slug) === this.#files.get(slug) && !changing.has(slug) && !this.#changing().has(slug);
    const lasting = found.flatMap(({ slug, label, mend, ...defect }): RouteDefect[] => {
      const owner = slug ?? (label === null ? null : this.#slugOf(label));
      // A host name that nobody has may be the old one of whoever is changing.
      if (owner === null) return changing.size + this.#changes.size === 0 ? [{ ...defect, mend }] : [];
      const mendStill = async () => (isStill(owner) ? this.#change(owner, mend) : undefined);
      return isStill(owner) ? [{ ...defect, mend: mendStill }] : [];
    });
    return [...lasting, ...(await this.#siteDefects())];
  }

  async #siteDefects(): Promise<RouteDefect[]> {
    const { directory } = this.#settings;
    const foreign = (await foreignSites(directory)).map((file): RouteDefect => {
      const mend = async () => {
        await setAside(directory, file);
        await this.#site.reload();
      };
      return { kind: 'foreign', file, keptAs: setAsideName(file), mend };
    });
    if (await this.#site.isOnDisk()) return foreign;
    return [...foreign, { kind: 'changed', file: siteFile, mend: () => this.#site.reload() }];
  }

  ensure(route: PreviewRoute): Promise<void> {
    return this.#change(route.slug, () => this.#ensure(route));
  }

  remove(slug: Slug): Promise<void> {
    return this.#change(slug, () => this.#remove(slug));
  }

  async #change(slug: Slug, work: () => Promise<void>): Promise<void> {
    const change = { slug };
    this.#changes.add(change);
    try {
      await work();
    } finally {
      this.#changes.delete(change);
    }
  }

  #changing(): Set<Slug> {
    return new Set([...this.#changes].map(({ slug }) => slug));
  }

  async #ensure(route: PreviewRoute): Promise<void> {
    const before = this.#files.get(route.slug);
    if (before !== undefined && JSON.stringify(before.hosts) === JSON.stringify(hostsOf(route))) {
      await this.#answer(before.address, route.answering);
      return;
    }
    // Other routes get another address: a request finds the old routes and the old address, or the new ones and the new address.
    const basicAuth = await this.#tools.basicAuthOf(route.slug);
    const file = checkedRouteFile({
      slug: route.slug,
      address: this.#freeAddress(),
      hosts: hostsOf(route),
      basicAuth,
    });
    if (before !== undefined) this.#leaving.add(before);
    this.#files.set(route.slug, file);
    try {
      await this.#putInForce(file, route.answering, before);
    } catch (error) {
      await this.#undo(file, before);
      throw error;
    } finally {
      if (before !== undefined) this.#leaving.delete(before);
    }
    if (before !== undefined) await this.#answer(before.address, null);
  }

  async #remove(slug: Slug): Promise<void> {
    const file = this.#files.get(slug);
    if (file !== undefined) {
      for (const { label } of file.hosts) await removeLookup(this.#lookups, label);
      await this.#answer(file.address, null);
    }
    await removeRouteFile(this.#settings.directory, slug);
    this.#files.delete(slug);
  }

  inFlight(_slug: Slug, instance: InstanceName): Promise<number> {
    return this.#tools.hostd.ask({ verb: 'count-connections', name: instance });
  }

  addressOf(label: HostLabel): { host: string; url: string } {
    const settings = this.#settings;
    const host = hostOf(settings, label) + (settings.publicPort === null ? '' : `:${settings.publicPort}`);
    return { host, url: `${settings.scheme}://${host}` };
  }

  async #putInForce(
    file: RouteFile,
    answering: PreviewRoute['answering'],
    before: RouteFile | undefined,
  ): Promise<void> {
    await checkCandidate(this.#settings, this.#tools.hostd, file);
    await this.#site.require(kindsOf(file));
    await this.#answer(file.address, answering);
    await saveRouteFile(this.#settings, file);
    await this.#putLookups(file, before);
  }

  async #putLookups(file: RouteFile, before: RouteFile | undefined): Promise<void> {
    for (const [label, name] of lookupsOf(file)) await putLookup(this.#lookups, label, name);
    const labels = new Set(file.hosts.map((host) => host.label));
    for (const { label } of before?.hosts ?? []) if (!labels.has(label)) await removeLookup(this.#lookups, label);
  }

  /** What is on disk is what Caddy and the next start of ours take for true. */
  async #undo(file: RouteFile, before: RouteFile | undefined): Promise<void> {
    // An answer that stays counts as used, so that nobody else gets the address, and goes at the next start.
    await this.#answer(file.address, null).catch(() => undefined);
    if (before === undefined) {
      for (const { label } of file.hosts) await removeLookup(this.#lookups, label);
      await removeRouteFile(this.#settings.directory, file.slug);
      this.#files.delete(file.slug);
    } else {
      this.#files.set(before.slug, before);
      await saveRouteFile(this.#settings, before);
      await this.#putLookups(before, file);
    }
  }

  /** From now on this answers at the address, or nothing does: one atomic change in the kernel. */
  async #answer(address: string, to: PreviewRoute['answering']): Promise<void> {
    const ports = to === null ? [] : Object.keys(to.upstreams).map(Number);
    const target = to === null ? null : { name: to.instance, ports };
    await this.#tools.hostd.ask({ verb: 'switch-answers', address, to: target });
    if (to === null) this.#answers.delete(address);
    else this.#answers.set(address, { instance: to.instance, ports });
  }

  #slugOf(label: string): Slug | null {
    const own = this.#files.get(label as Slug);
    const file = own ?? [...this.#files.values()].find(({ hosts }) => hosts.some((host) => host.label === label));
    return file?.slug ?? null;
  }

  #routeFrom(file: RouteFile): PreviewRoute {
    const answering = this.#answers.get(file.address);
    const shown = answering === undefined ? null : upstreamsOf(this.#settings, answering);
    return { slug: file.slug, hosts: file.hosts, answering: shown };
  }

  /** The lowest address that no preview has. Slot N of the preview pool gives one: its instance side. */
  #freeAddress(): string {
    const { previewPool } = this.#settings;
    const used = new Set([
      ...this.#answers.keys(),
      ...[...this.#files.values(), ...this.#leaving].map((file) => file.address),
    ]);
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

const lookupsOf = (file: RouteFile): [HostLabel, string][] =>
  file.hosts.map((host) => [host.label, lookupName(file, host)]);
