/**
 * The site as Caddy serves it: which kinds of previews it knows. A kind that it knows already costs nothing; new ones are loaded together, one load at
 * a time. If Caddy refuses a load, each new kind is tried alone: what it refuses stays out, and the rest goes through.
 */
import { OperatorError } from '../../core/errors.ts';
import type { HostDaemon } from '../../core/host-verbs.ts';
import type { Log } from '../../ports.ts';
import { readSite, saveSite } from './route-files.ts';
import { kindName, type Kind, type SiteSettings } from './site.ts';

interface Tools {
  readonly settings: SiteSettings;
  readonly hostd: HostDaemon;
  readonly log: Log;
  /** Kinds that some preview has: those that Caddy must know. */
  readonly inUse: () => readonly Kind[];
}

type Kinds = ReadonlyMap<string, Kind>;

/** What Caddy knows, as far as we know. One for each folder of routes: nobody else may load. */
export class SiteInForce {
  readonly #tools: Tools;
  readonly #load: () => Promise<void>;
  #known: Kinds = new Map();
  #isLoading = false;
  readonly #wanted = new Map<string, Kind>();
  /** Why Caddy would not have a kind. */
  readonly #refused = new Map<string, string>();

  constructor(tools: Tools) {
    this.#tools = tools;
    this.#load = coalesced(() => this.#loadWanted());
  }

  /**
   * Caddy has the site with all kinds in use, apart from those that it refuses: their names. Caddy is told even if nothing changed, because the file
   * says what it had when it started, not what it has; it does nothing when that is the same.
   */
  async open(): Promise<string[]> {
    const { settings, inUse } = this.#tools;
    const needed = byName(inUse());
    // Hosts are still looked up as they were, so what is there stays; the next load leaves out what nobody has any more.
    const kept = byName((await readSite(settings)) ?? []);
    for (const [name, kind] of new Map([...kept, ...needed])) this.#wanted.set(name, kind);
    await this.#load();
    return [...this.#refused.keys()];
  }

  /** Resolves when Caddy knows all of these. Throws ROUTE_REFUSED when it will not; then the others are as they were. */
  async require(kinds: readonly Kind[]): Promise<void> {
    const missing = [...byName(kinds)].filter(([name]) => !this.#known.has(name));
    if (missing.length === 0) return;
    for (const [name, kind] of missing) {
      this.#refused.delete(name);
      this.#wanted.set(name, kind);
    }
    await this.#load();
    for (const [name] of missing) {
      const reason = this.#refused.get(name);
      if (reason !== undefined)
        throw new OperatorError('ROUTE_REFUSED', 'Caddy refused the routes of the preview.', { detail: reason });
    }
  }

  /** Whether the file on disk is the one that was loaded last. */
  async isOnDisk(): Promise<boolean> {
    const known = this.#known;
    const onDisk = byName((await readSite(this.#tools.settings)) ?? []);
    const isSame = onDisk.size === known.size && [...known.keys()].every((name) => onDisk.has(name));
    // A load that is under way has written its file already.
    return isSame || this.#isLoading || this.#known !== known;
  }

  /** Writes and loads it once more. */
  reload(): Promise<void> {
    return this.#load();
  }

  async #loadWanted(): Promise<void> {
    this.#isLoading = true;
    try {
      await this.#loadNow();
    } finally {
      this.#isLoading = false;
    }
  }

  async #loadNow(): Promise<void> {
    const wanted = new Map(this.#wanted);
    this.#wanted.clear();
    const before = this.#known;
    const next = new Map([...byName(this.#tools.inUse()), ...wanted]);
    for (const name of this.#refused.keys()) if (!wanted.has(name)) next.delete(name);
    if ((await this.#tryLoad(next)) === null) {
      this.#known = next;
      return;
    }
    const reason = await this.#tryLoad(before);
    if (reason !== null)
      throw new OperatorError('ROUTE_REFUSED', 'Caddy refuses its configuration, and not because of a preview.', {
        detail: reason,
      });
    for (const [name, kind] of next) if (!this.#known.has(name)) await this.#addAlone(name, kind);
  }

  async #addAlone(name: string, kind: Kind): Promise<void> {
    const next = new Map([...this.#known, [name, kind]]);
    const reason = await this.#tryLoad(next);
    if (reason === null) {
      this.#known = next;
      return;
    }
    this.#refused.set(name, reason);
    this.#tools.log.error({ kind: name, reason }, 'Caddy refused routes; the others are in force');
    await this.#tryLoad(this.#known);
  }

  /** Null, or Caddy's reason; then it has what it had, and only the file is another. */
  async #tryLoad(kinds: Kinds): Promise<string | null> {
    const { settings, hostd } = this.#tools;
    await saveSite(settings, [...kinds.values()]);
    return (await hostd.ask({ verb: 'load-routes' })).refused;
  }
}

const byName = (kinds: readonly Kind[]): Map<string, Kind> => new Map(kinds.map((kind) => [kindName(kind), kind]));

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
