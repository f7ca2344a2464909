/**
 * A look at everything, in both directions: open pull requests without a preview, previews whose pull request moved on unnoticed, and things on
 * the host that belong to no preview. On start, on a timer and on demand.
 */
import { operatorErrorFrom } from '../core/errors.ts';
import { COMMENT_LOOKS_PER_SWEEP, ORPHAN_OBSERVATION_MS, REDELIVERY_LOOKBACK_MS } from '../core/limits.ts';
import { databaseNameOf, slugCandidates, slugOfDatabase, type InstanceName, type Slug } from '../core/names.ts';
import { isAllowedRepository } from '../core/policy.ts';
import { databaseMaxBytes, templatesOf, type PreviewRecord } from '../core/preview.ts';
import { keyText, parseRepositoryName, type RepositoryName } from '../core/pull-request.ts';
import type { Operator } from '../ports.ts';

/** A thing of ours on the host that no record speaks of. */
export interface Orphan {
  readonly kind: 'instance' | 'database' | 'template' | 'route' | 'route file';
  readonly name: string;
  /** The name under which `remove` keeps it; absent where nothing of it is kept. */
  readonly keptAs?: string;
  /** Whoever comes to have it claims this name first. Null where a copy that is gone is simply made again. */
  readonly claimedBy: Slug | InstanceName | null;
  readonly remove: () => Promise<void>;
}

/** What one sweep tells the next. Lost at a restart, which only makes an orphan wait longer and the first sweep look further back. */
export interface SweepMemory {
  /** Since when each orphan has been seen. */
  readonly sightings: Map<string, Date>;
  /** Until when missed deliveries were asked for; null when they never were. */
  deliveredUntil: Date | null;
}

export function newSweepMemory(): SweepMemory {
  return { sightings: new Map(), deliveredUntil: null };
}

type Sweeping = Pick<
  Operator,
  | 'policy'
  | 'clock'
  | 'log'
  | 'pullRequests'
  | 'redeliveries'
  | 'store'
  | 'jobs'
  | 'runtime'
  | 'databases'
  | 'routes'
  | 'sources'
>;

/**
 * Closes databases that grew too large. Asks for a look at every preview, its comment and every open pull request, removes orphans that were seen for
 * a full observation interval, and asks for missed deliveries. One repository or thing that fails is logged and does not stop the rest. Never
 * removes anything because GitHub did not know it.
 */
export async function sweep(op: Sweeping, memory: SweepMemory, signal: AbortSignal): Promise<void> {
  const startedAt = op.clock.now();
  const orphans = await findOrphans(op);
  const records = await op.store.list();
  await mendRouteFiles(op);
  // Before the looks that are asked for next, which tell of it.
  await limitDatabases(op, records);
  await op.store.askForCommentLooks(COMMENT_LOOKS_PER_SWEEP);
  for (const record of records) {
    await op.jobs.enqueueReconcile(record.key);
    await op.jobs.enqueueReport(record.key);
  }
  const repositories = await repositoriesOf(op, records, signal);
  await requestOpenPulls(op, { records, repositories }, signal);
  await removeOldOrphans(op, orphans, memory.sightings);
  const used = (await op.store.list()).map((record) => record.key.repositoryId);
  await op.sources.removeUnused(new Set(used));
  await requestMissedDeliveries(op, { repositories, memory, startedAt }, signal);
}

/** Not a part of a preview's own work, which may be a setup that fills the disk for an hour. */
async function limitDatabases(
  op: Pick<Operator, 'databases' | 'log'>,
  records: readonly PreviewRecord[],
): Promise<void> {
  for (const record of records) {
    const maxBytes = databaseMaxBytes(record);
    if (record.database === null || maxBytes === null) continue;
    const { name } = record.database;
    try {
      const bytes = await op.databases.limitSize(name, maxBytes);
      if (bytes !== null && bytes > maxBytes)
        op.log.warn({ database: name, bytes, maxBytes }, 'a database holds more than it may; nobody can connect to it');
    } catch (error) {
      op.log.warn(
        { database: name, code: operatorErrorFrom(error).code, err: error },
        'the size of a database could not be limited; the next sweep tries again',
      );
    }
  }
}

async function requestOpenPulls(
  op: Sweeping,
  { records, repositories }: { records: readonly PreviewRecord[]; repositories: ReadonlySet<RepositoryName> },
  signal: AbortSignal,
): Promise<void> {
  const known = new Set(records.map((record) => keyText(record.key)));
  for (const repository of repositories) {
    try {
      for (const open of await op.pullRequests.listOpen(repository, signal)) {
        // It may have been transferred to somebody who is not on the allow-list; GitHub still lists it by the name that is.
        const isAllowed = isAllowedRepository(op.policy, open.repository);
        if (isAllowed && !known.has(keyText(open.key))) await op.store.request(open.key, open.repository);
      }
    } catch (error) {
      signal.throwIfAborted();
      op.log.warn(
        { repository, code: operatorErrorFrom(error).code, err: error },
        'the open pull requests could not be listed; the next sweep tries again',
      );
    }
  }
}

/** The repositories named in the allow-list, and those of `owner/*` entries that we have met or that GitHub shows us. */
async function repositoriesOf(
  op: Sweeping,
  records: readonly PreviewRecord[],
  signal: AbortSignal,
): Promise<Set<RepositoryName>> {
  const named = op.policy.repositories.map(parseRepositoryName).filter((name) => name !== null);
  const met = records.map((record) => record.repository);
  const owners = op.policy.repositories.filter((entry) => entry.endsWith('/*')).map((entry) => entry.slice(0, -2));
  const shown: RepositoryName[] = [];
  for (const owner of owners) {
    try {
      shown.push(...(await op.pullRequests.listRepositories(owner, signal)));
    } catch (error) {
      signal.throwIfAborted();
      op.log.warn(
        { owner, code: operatorErrorFrom(error).code, err: error },
        'the owner’s repositories could not be listed; the next sweep tries again',
      );
    }
  }
  // One that is known by two spellings is asked once.
  const distinct = new Map([...named, ...met, ...shown].map((name) => [name.toLowerCase(), name]));
  return new Set([...distinct.values()].filter((name) => isAllowedRepository(op.policy, name)));
}

/** The window only moves on when there was nothing left in it to ask for. */
async function requestMissedDeliveries(
  op: Sweeping,
  {
    repositories,
    memory,
    startedAt,
  }: { repositories: ReadonlySet<RepositoryName>; memory: SweepMemory; startedAt: Date },
  signal: AbortSignal,
): Promise<void> {
  const since = memory.deliveredUntil ?? new Date(startedAt.getTime() - REDELIVERY_LOOKBACK_MS);
  try {
    const count = await op.redeliveries.request(repositories, since, signal);
    if (count === 0) memory.deliveredUntil = startedAt;
    else op.log.info({ count, since }, 'GitHub was asked to send missed deliveries again');
  } catch (error) {
    signal.throwIfAborted();
    op.log.warn(
      { code: operatorErrorFrom(error).code, err: error },
      'missed deliveries could not be asked for; the next sweep tries again',
    );
  }
}

/**
 * What is on the host without a record. The host is read before the records: every step saves that a thing will be before it makes it, so what
 * was there first and has no record afterwards is nobody's.
 */
export async function findOrphans(op: Pick<Operator, 'runtime' | 'databases' | 'routes' | 'store'>): Promise<Orphan[]> {
  const [instances, databases, templates, routes, defects] = await Promise.all([
    op.runtime.list(),
    op.databases.list(),
    op.databases.listTemplates(),
    op.routes.list(),
    op.routes.defects(),
  ]);
  const found = [
    ...routes.map(({ slug }): Orphan => {
      return { kind: 'route', name: slug, claimedBy: slug, remove: () => op.routes.remove(slug) };
    }),
    ...instances.map(({ name }): Orphan => {
      return { kind: 'instance', name, claimedBy: name, remove: () => op.runtime.remove(name) };
    }),
    ...defects
      .filter((each) => each.kind === 'foreign')
      .map((each): Orphan => ({ ...each, kind: 'route file', name: each.file, claimedBy: null, remove: each.mend })),
    ...databases.map((name): Orphan => {
      return { kind: 'database', name, claimedBy: slugOfDatabase(name), remove: () => op.databases.remove(name) };
    }),
    ...templates.map((name): Orphan => {
      return { kind: 'template', name, claimedBy: null, remove: () => op.databases.removeTemplate(name) };
    }),
  ];
  const known = thingsOf(await op.store.list());
  return found.filter((each) => !known.has(nameOf(each)));
}

function nameOf({ kind, name }: Pick<Orphan, 'kind' | 'name'>): string {
  return `${kind} ${name}`;
}

/** Everything on the host that the records speak of. Who has no slug yet may come to have any of its candidates, and finds what was there before. */
function thingsOf(records: readonly PreviewRecord[]): Set<string> {
  const slugs = records.flatMap((record) => record.slug ?? slugCandidates(record.repository, record.key));
  const things: Pick<Orphan, 'kind' | 'name'>[] = [
    ...slugs.map((name) => ({ kind: 'route' as const, name })),
    ...slugs.map((slug) => ({ kind: 'database' as const, name: databaseNameOf(slug) })),
    ...records.flatMap((record) => record.instances).map(({ name }) => ({ kind: 'instance' as const, name })),
    ...records.flatMap(templatesOf).map((name) => ({ kind: 'template' as const, name })),
  ];
  return new Set(things.map(nameOf));
}

/**
 * Removes what is still nobody's. It was found some time ago, and a preview may have come to have it: so its name is held, the records are read once more,
 * and nobody can claim it before it is gone. Says whether it was removed.
 */
export async function removeOrphan(op: Pick<Operator, 'store' | 'log'>, orphan: Orphan): Promise<boolean> {
  await using held = orphan.claimedBy === null ? null : await op.store.lockName(orphan.claimedBy);
  if (held === null && orphan.claimedBy !== null) return false;
  if (thingsOf(await op.store.list()).has(nameOf(orphan))) return false;
  op.log.warn({ kind: orphan.kind, name: orphan.name }, 'removing something of ours that belongs to no preview');
  await orphan.remove();
  return true;
}

/** What is said in them holds, whoever wrote there. */
async function mendRouteFiles(op: Pick<Operator, 'routes' | 'log'>): Promise<void> {
  for (const { kind, file, mend } of await op.routes.defects()) {
    if (kind === 'foreign') continue;
    op.log.warn({ file }, 'a file of the routes is not as it was written; it is written again');
    await mend().catch((error: unknown) =>
      op.log.error({ file, err: error }, 'the file could not be written; the next sweep tries again'),
    );
  }
}

async function removeOldOrphans(
  op: Sweeping,
  orphans: readonly Orphan[],
  sightings: SweepMemory['sightings'],
): Promise<void> {
  const now = op.clock.now();
  const present = new Set(orphans.map(nameOf));
  for (const name of sightings.keys()) if (!present.has(name)) sightings.delete(name);
  for (const orphan of orphans) {
    const name = nameOf(orphan);
    const since = sightings.get(name) ?? now;
    sightings.set(name, since);
    if (now.getTime() - since.getTime() < ORPHAN_OBSERVATION_MS) continue;
    try {
      if (await removeOrphan(op, orphan)) sightings.delete(name);
    } catch (error) {
      op.log.error(
        { kind: orphan.kind, name: orphan.name, err: error },
        'an orphan could not be removed; the next sweep tries again',
      );
    }
  }
}
