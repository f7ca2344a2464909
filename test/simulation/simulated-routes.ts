/** Routes and databases, as one operator process sees them; and what must never happen to them, noted where it would happen. */
import type { DatabaseName } from '../../webhook/core/names.ts';
import type { PreviewRoute } from '../../webhook/core/preview-route.ts';
import type { AppDatabases, Routes } from '../../webhook/ports.ts';
import type { SimulatedProcess } from './faults.ts';
import type { Shared } from './shared-world.ts';

export function simulatedRoutes(world: Shared, process: SimulatedProcess): Routes {
  const { host, faults } = world;
  return {
    observe: (slug) => faults.read(process, () => host.routes.get(slug) ?? null),
    list: () => faults.read(process, () => [...host.routes.values()]),
    ensure: (route) =>
      faults.effect(process, 'routes.ensure', () => {
        noteSwitch(world, route);
        host.routes.set(route.slug, route);
      }),
    remove: (slug) =>
      faults.effect(process, 'routes.remove', () => {
        host.routes.delete(slug);
      }),
    inFlight: async () => 0,
    addressOf: (label) => ({ host: `${label}.test`, url: `https://${label}.test` }),
    // Routes of this world are no files.
    defects: () => Promise.resolve([]),
  };
}

export function simulatedDatabases(world: Shared, process: SimulatedProcess): AppDatabases {
  const { host, faults } = world;
  return {
    list: () => faults.read(process, () => [...host.databases.keys()]),
    has: (name) => faults.read(process, () => host.databases.has(name)),
    ensure: (database, seed) =>
      faults.effect(
        process,
        'databases.ensure',
        async () => {
          if (seed !== undefined && !host.databases.has(database.name) && !host.templates.has(seed.template)) {
            await seed.read();
            host.templates.add(seed.template);
          }
          host.databases.set(database.name, database.password);
        },
        () => {
          if (seed !== undefined) host.templates.add(seed.template);
        },
      ),
    remove: (name) =>
      faults.effect(process, 'databases.remove', () => {
        noteDataLoss(world, name);
        host.databases.delete(name);
      }),
    listTemplates: () => faults.read(process, () => [...host.templates]),
    removeTemplate: (name) =>
      // No operation of its own: the sweep removes templates minutes later, in the quiet time without faults.
      faults.effect(process, 'databases.remove', () => {
        host.templates.delete(name);
      }),
    // Databases of this world hold nothing.
    limitSize: () => Promise.resolve(null),
    urlOf: (database, addresses) => `postgresql://${database.name}@${addresses.host}/${database.name}`,
  };
}

/** Data of a pull request that was open and allowed all the time must never go. */
function noteDataLoss(world: Shared, name: DatabaseName): void {
  const record = [...world.state.previews.values()].find((row) => row.database?.name === name);
  const pull = record === undefined ? undefined : world.github.pullOf(record.key);
  if (pull !== undefined && !pull.wasAbsent)
    world.violations.add(`the database of #${pull.number} was removed without a reason`);
}

/** From a delivery to the end of the work that it overtakes: the poll for newer input, and what one operation takes. */
const SUPERSEDED_WITHIN_MS = 1_500;

/** A commit that is known to be overtaken must not be shown as new. */
function noteSwitch(world: Shared, route: PreviewRoute): void {
  const record = [...world.state.previews.values()].find((row) => row.slug === route.slug);
  const pull = record === undefined ? undefined : world.github.pullOf(record.key);
  // Where GitHub fails or answers with old news, or the state fails, we cannot know in time.
  if (pull?.state !== 'open' || route.answering === null || !world.faults.isWell) return;
  const shown = record?.instances.find((instance) => instance.name === route.answering?.instance);
  const knownSince = world.knownHeads.get(pull.sha);
  if (record === undefined || shown === undefined || shown.name === record.answering || knownSince === undefined)
    return;
  const { hold, key } = record;
  const wanted = hold?.kind === 'pinned' && hold.whileHead === pull.sha ? hold.revision.sha : pull.sha;
  if (shown.revision.sha === wanted) return;
  if (world.clock.elapsedMs - Math.max(knownSince, world.words.saidAtMs(key)) > SUPERSEDED_WITHIN_MS)
    world.violations.add(`#${pull.number}: an overtaken commit was switched to`);
}
