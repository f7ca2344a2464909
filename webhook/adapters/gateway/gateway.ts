/**
 * The Routes port on the embedded default: a reverse proxy in this process. One port answers for all previews, told apart by the Host
 * header. Where Caddy would have to reload, here a switch is one assignment: requests that have begun keep their instance, the next
 * ones go to the other.
 */
import { OperatorError } from '../../core/errors.ts';
import type { Slug } from '../../core/names.ts';
import type { RouteDefect } from '../../core/preview-route.ts';
import type { Routes } from '../../ports.ts';
import { openFrontDoor, type FrontDoorOptions } from './front-door.ts';
import { checkedRoute, fileOf, openRouteFiles, type RouteFiles, setAsideName } from './route-files.ts';
import { RouteTable } from './route-table.ts';

export interface GatewayOptions extends FrontDoorOptions {
  /** Holds one file per preview; made if need be. */
  readonly directory: string;
  /** The port that people type, where something in front of us changes it; null for the one we listen on. */
  readonly publicPort: number | null;
}

export interface Gateway extends Routes {
  /** The port it listens on. */
  readonly port: number;
  /** Stops listening, lets requests end for a moment, then cuts what is still open. Routes stay on disk. */
  close(): Promise<void>;
}

/** Loads the routes and listens. Throws what listening throws (EADDRINUSE and the like), and what the directory does. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { log } = options;
  await using opening = new AsyncDisposableStack();
  const files = opening.use(await openRouteFiles(options.directory, log));
  const table = new RouteTable();
  for (const route of await files.loadAll()) {
    try {
      table.assertFree(route);
      table.put(route);
    } catch (error) {
      log.error({ slug: route.slug, reason: (error as Error).message }, 'route not loaded');
    }
  }
  const door = await openFrontDoor(options, table);
  const { port } = door;
  const inTurn = createTurns();
  const opened = opening.move();

  return {
    port,
    observe: (slug) => Promise.resolve(table.get(slug)),
    list: () => Promise.resolve(table.list()),
    async ensure(wanted) {
      const route = checkedRoute(wanted);
      await inTurn(route.slug, async () => {
        table.assertFree(route);
        if (JSON.stringify(table.get(route.slug)) === JSON.stringify(route)) return;
        await files.save(route).catch(refused);
        table.put(route);
      });
    },
    remove: (slug) =>
      inTurn(slug, async () => {
        await files.remove(slug).catch(refused);
        table.delete(slug);
      }),
    inFlight: (slug, instance) => Promise.resolve(table.inFlight(slug, instance)),
    addressOf(label) {
      const publicPort = options.publicPort ?? port;
      const isDefault = publicPort === (options.scheme === 'https' ? 443 : 80);
      const host = `${label}.${options.domain}${isDefault ? '' : `:${publicPort}`}`;
      return { host, url: `${options.scheme}://${host}` };
    },
    defects: () => fileDefects(files, table, inTurn),
    async close() {
      await door.close();
      table.close();
      await opened.disposeAsync();
    },
  };
}

/** In its turn nothing of a preview changes: what differs does so by somebody else's hand. */
async function fileDefects(files: RouteFiles, table: RouteTable, inTurn: Turns): Promise<RouteDefect[]> {
  const slugs = new Set([...table.list().map((route) => route.slug), ...(await files.slugs())]);
  const lookAt = (slug: Slug) => async (): Promise<RouteDefect[]> => {
    const route = table.get(slug);
    if (await files.isSaved(slug, route)) return [];
    const mend = () => inTurn(slug, () => files.mend(slug, table.get(slug)));
    const file = fileOf(slug);
    return [
      route === null ? { kind: 'foreign', file, keptAs: setAsideName(file), mend } : { kind: 'changed', file, mend },
    ];
  };
  return (await Promise.all([...slugs].map((slug) => inTurn(slug, lookAt(slug))))).flat();
}

function refused(error: unknown): never {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  throw new OperatorError('ROUTE_REFUSED', `The route file could not be written (${code}).`, {
    retry: 'later',
    cause: error,
  });
}

type Turns = <T>(slug: Slug, work: () => Promise<T>) => Promise<T>;

/** Runs work on one preview after the other, on different previews side by side. */
function createTurns(): Turns {
  const last = new Map<Slug, Promise<unknown>>();
  return (slug, work) => {
    const turn = (last.get(slug) ?? Promise.resolve()).then(work);
    const settled: Promise<unknown> = turn.catch(() => undefined);
    last.set(slug, settled);
    void settled.then(() => {
      if (last.get(slug) === settled) last.delete(slug);
    });
    return turn;
  };
}
