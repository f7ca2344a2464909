/** PreviewStore on PostgreSQL: one statement or one transaction per verb, so that a process may die between any two of them. */
import type { ClientBase, Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import { instanceNameOf, slotOf, type HostLabel, type InstanceName, type Slug } from '../../core/names.ts';
import type { InstanceFacts, InstanceRecord, PreviewRecord } from '../../core/preview.ts';
import { keyText, type PreviewKey, type Revision } from '../../core/pull-request.ts';
import { nextSlot, type AddressPool } from '../../core/slots.ts';
import type { PreviewLock, PreviewStore } from '../../ports.ts';
import { inTransaction, rowsOf } from './connections.ts';
import type { Life, Liveness } from './liveness.ts';
import { INSTANCE_COLUMNS, instanceFrom, previewFrom, reportFrom, SELECT_PREVIEWS } from './preview-rows.ts';

interface StoreOptions {
  readonly pool: Pool;
  readonly liveness: Liveness;
  /** Whose slot counter instances are numbered from. */
  readonly host: string;
  readonly addresses: AddressPool;
}

/** Locks that we gave out and that still hold, each with the life of the connection that it depends on. */
type HeldLocks = WeakMap<PreviewLock, Life>;

export function previewStore(options: StoreOptions): PreviewStore {
  const { pool } = options;
  const locks: HeldLocks = new WeakMap();
  /** The text of a key whose lock is proven to be held. */
  const proven = (lock: PreviewLock): string => {
    const life = locks.get(lock);
    if (life === undefined) throw new Error(`the lock of preview ${keyText(lock.key)} is not held any more`);
    life.lost.throwIfAborted();
    return keyText(lock.key);
  };
  /** A change of columns of the preview itself. */
  const update = async (lock: PreviewLock, assignments: string, values: unknown[]) => {
    await rowsOf(pool, `update berth.previews set ${assignments} where key = $1`, [proven(lock), ...values]);
  };

  const read = reading(pool);

  return {
    ...read,
    ...reports(pool),
    lock: (key) => takeLock(options.liveness, locks, key),

    async request(key, repository, { retry = false, hold } = {}) {
      const { pull, branch } = subjectColumns(key);
      await rowsOf(pool, 'select berth.request_look($1, $2, $3, $4, $5, $6, $7, $8)', [
        keyText(key),
        key.repositoryId,
        pull,
        branch,
        repository,
        retry,
        hold == null ? null : JSON.stringify(hold),
        hold === null,
      ]);
    },

    saveWanted: (lock, wanted, repository) =>
      update(lock, 'wanted = $2, repository = $3', [JSON.stringify(wanted), repository]),
    saveDoing: (lock, step) =>
      update(lock, 'doing_step = $2, doing_since = case when $2::text is not null then now() end', [step]),
    async saveFailure(lock, failure, givenUp) {
      const key = proven(lock);
      await inTransaction(pool, async (client) => {
        const stored = failure === null ? null : JSON.stringify(failure);
        await rowsOf(client, 'update berth.previews set failure = $2 where key = $1', [key, stored]);
        if (givenUp === undefined || failure === null) return;
        await saveInstance(client, { key, host: options.host, name: givenUp, facts: { failedAt: failure.at } });
      });
    },
    saveDatabase: (lock, database) =>
      update(lock, 'database_name = $2, database_password = $3', [database?.name ?? null, database?.password ?? null]),

    claimSlug: async (lock, candidates) => {
      const key = proven(lock);
      return inTransaction(pool, (client) => claimSlug(client, key, candidates));
    },
    claimHosts: async (lock, labels) => {
      const key = proven(lock);
      await inTransaction(pool, (client) => claimHosts(client, key, labels));
    },
    createInstance: async (lock, revision) => {
      const key = proven(lock);
      return inTransaction(pool, (client) => createInstance(client, key, { ...options, revision }));
    },
    async saveInstance(lock, name, facts) {
      await saveInstance(pool, { key: proven(lock), host: options.host, name, facts });
    },
    saveSwitch: async (lock, name, at) => {
      const key = proven(lock);
      await inTransaction(pool, (client) => saveSwitch(client, { key, host: options.host, name, at }));
    },
    async removeInstance(lock, name) {
      // The slot's row goes with the instance, and answering_id becomes null.
      await rowsOf(
        pool,
        `delete from berth.instances using berth.previews, berth.slots
         where previews.key = $1 and instances.preview_id = previews.id
           and slots.instance_id = instances.id and slots.host = $2 and slots.slot = $3`,
        [proven(lock), options.host, slotOf(name)],
      );
    },
    async forget(lock, generation) {
      // Labels, instances and slots go with the row. Who asks at this moment waits for us and then makes a new record.
      const key = proven(lock);
      await rowsOf(pool, 'delete from berth.previews where key = $1 and generation = $2', [key, generation]);
      return (await read.generation(lock.key)) === 0;
    },
  };
}

function reading(pool: Pool): Pick<PreviewStore, 'load' | 'loadBySlug' | 'list' | 'generation'> {
  const one = async (where: string, value: string): Promise<PreviewRecord | null> => {
    const [row] = await rowsOf(pool, `${SELECT_PREVIEWS} where ${where} = $1`, [value]);
    return row === undefined ? null : previewFrom(row);
  };
  return {
    load: (key) => one('previews.key', keyText(key)),
    loadBySlug: (slug) => one('previews.slug', slug),
    async list() {
      return (await rowsOf(pool, `${SELECT_PREVIEWS} order by previews.id`)).map(previewFrom);
    },
    async generation(key) {
      const [row] = await rowsOf<{ generation: number }>(pool, 'select generation from berth.previews where key = $1', [
        keyText(key),
      ]);
      return row?.generation ?? 0;
    },
  };
}

function reports(pool: Pool): Pick<PreviewStore, 'loadReport' | 'saveReport' | 'askForCommentLooks'> {
  return {
    async loadReport(key) {
      const [row] = await rowsOf(pool, 'select * from berth.reports where key = $1', [keyText(key)]);
      return row === undefined ? null : reportFrom(row);
    },
    async saveReport({ key, repository, commentId, commentHash, status, lookedAt }) {
      await rowsOf(
        pool,
        `insert into berth.reports (key, repository, comment_id, comment_hash, status_sha, status_hash, looked_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (key) do update
         set repository = excluded.repository, comment_id = excluded.comment_id, comment_hash = excluded.comment_hash,
           status_sha = excluded.status_sha, status_hash = excluded.status_hash, looked_at = excluded.looked_at, updated_at = now()`,
        [keyText(key), repository, commentId, commentHash, status?.sha ?? null, status?.hash ?? null, lookedAt],
      );
    },
    async askForCommentLooks(max) {
      await rowsOf(
        pool,
        `update berth.reports set look_asked_at = clock_timestamp()
         where key in (
           select reports.key from berth.reports join berth.previews using (key)
           where comment_id is not null order by look_asked_at nulls first, reports.key limit $1
         )`,
        [max],
      );
    },
  };
}

async function takeLock(liveness: Liveness, locks: HeldLocks, key: PreviewKey): Promise<PreviewLock | null> {
  const life = await liveness.current();
  const name = keyText(key);
  if (!(await life.tryLock(name))) return null;
  const lock: PreviewLock = {
    key,
    async [Symbol.asyncDispose]() {
      if (!locks.delete(lock)) return;
      await life.unlock(name);
    },
  };
  locks.set(lock, life);
  return lock;
}

/** The columns that, with the repository's id, make the key. */
export function subjectColumns({ subject }: PreviewKey): { pull: number | null; branch: string | null } {
  return subject.kind === 'pull' ? { pull: subject.number, branch: null } : { pull: null, branch: subject.name };
}

/** The preview's row, locked until the transaction ends. Throws when there is none: then nothing can be given to it. */
async function lockedRow(
  client: ClientBase,
  key: string,
): Promise<{ id: number; slug: Slug | null; answering_id: number | null }> {
  const [row] = await rowsOf<{ id: number; slug: Slug | null; answering_id: number | null }>(
    client,
    'select id, slug, answering_id from berth.previews where key = $1 for update',
    [key],
  );
  if (row === undefined) throw new Error(`there is no record of preview ${key}`);
  return row;
}

/** Takes labels that are free. Waits for who is just claiming one, and then finds it taken, or free again. Returns those it got. */
async function insertLabels(client: ClientBase, previewId: number, labels: readonly string[]): Promise<string[]> {
  const rows = await rowsOf<{ label: string }>(
    client,
    `insert into berth.host_labels (label, preview_id) select label, $1 from unnest($2::text[]) as label
     order by label on conflict (label) do nothing returning label`,
    [previewId, labels],
  );
  return rows.map((row) => row.label);
}

async function claimSlug(client: ClientBase, key: string, candidates: readonly Slug[]): Promise<Slug> {
  const row = await lockedRow(client, key);
  if (row.slug !== null) return row.slug;
  for (const candidate of candidates) {
    const [claimed] = await insertLabels(client, row.id, [candidate]);
    if (claimed === undefined) continue;
    await rowsOf(client, 'update berth.previews set slug = $2 where id = $1', [row.id, candidate]);
    return candidate;
  }
  throw new OperatorError('SLUG_UNAVAILABLE', `Every name for this preview is taken: ${candidates.join(', ')}.`);
}

/** The slug's own label stays claimed whether or not it is among them: it is the preview's for life. */
async function claimHosts(client: ClientBase, key: string, labels: readonly HostLabel[]): Promise<void> {
  const { id, slug } = await lockedRow(client, key);
  const wanted = [...new Set<string>(slug === null ? labels : [...labels, slug])];
  await rowsOf(client, 'delete from berth.host_labels where preview_id = $1 and label <> all ($2::text[])', [
    id,
    wanted,
  ]);
  await insertLabels(client, id, wanted);
  const [taken] = await rowsOf<{ label: string }>(
    client,
    'select label from berth.host_labels where label = any ($2::text[]) and preview_id <> $1 order by label',
    [id, wanted],
  );
  if (taken !== undefined)
    throw new OperatorError('HOST_NAME_TAKEN', `The host name ${taken.label} belongs to another preview.`);
}

async function createInstance(
  client: ClientBase,
  key: string,
  { host, addresses, revision }: Pick<StoreOptions, 'host' | 'addresses'> & { revision: Revision },
): Promise<InstanceRecord> {
  const preview = await lockedRow(client, key);
  await rowsOf(client, 'insert into berth.slot_counters (host) values ($1) on conflict do nothing', [host]);
  const [counter] = await rowsOf<{ next_slot: number }>(
    client,
    'select next_slot from berth.slot_counters where host = $1 for update',
    [host],
  );
  const inUse = await rowsOf<{ slot: number }>(client, 'select slot from berth.slots where host = $1', [host]);
  const next = nextSlot(addresses, counter?.next_slot ?? 1, new Set(inUse.map((row) => row.slot)));
  const [instance] = await rowsOf(
    client,
    `insert into berth.instances (preview_id, generation, revision_sha, revision_ref)
     select id, generation, $2, $3 from berth.previews where id = $1 returning *`,
    [preview.id, revision.sha, revision.ref],
  );
  if (instance === undefined) throw new Error('insert returned no row');
  await rowsOf(client, `insert into berth.slots (host, slot, purpose, instance_id) values ($1, $2, 'preview', $3)`, [
    host,
    next.slot,
    instance['id'],
  ]);
  await rowsOf(client, 'update berth.slot_counters set next_slot = $2 where host = $1', [host, next.counter]);
  return instanceFrom({ ...instance, slot: next.slot });
}

/** Facts that are left out stay. Timings are added to those that are there, because steps of one stage save theirs side by side. */
async function saveInstance(
  connection: Pool | ClientBase,
  { key, host, name, facts }: { key: string; host: string; name: InstanceName; facts: InstanceFacts },
): Promise<void> {
  const given = Object.entries(facts).filter(([, value]) => value !== undefined);
  if (given.length === 0) return;
  const assignments = given.map(([fact], index) => {
    const { column } = INSTANCE_COLUMNS[fact as keyof InstanceFacts];
    const value = `$${index + 4}`;
    return fact === 'timings' ? `timings = instances.timings || ${value}::jsonb` : `${column} = ${value}`;
  });
  const values = given.map(([fact, value]) =>
    INSTANCE_COLUMNS[fact as keyof InstanceFacts].json && value !== null ? JSON.stringify(value) : value,
  );
  await rowsOf(
    connection,
    `update berth.instances set ${assignments.join(', ')} from berth.previews, berth.slots
     where previews.key = $1 and instances.preview_id = previews.id
       and slots.instance_id = instances.id and slots.host = $2 and slots.slot = $3`,
    [key, host, slotOf(name), ...values],
  );
}

async function saveSwitch(
  client: ClientBase,
  { key, host, name, at }: { key: string; host: string; name: InstanceName; at: Date },
): Promise<void> {
  const preview = await lockedRow(client, key);
  const [next] = await rowsOf<{ id: number }>(
    client,
    `select instances.id from berth.instances join berth.slots on slots.instance_id = instances.id
     where instances.preview_id = $1 and slots.host = $2 and slots.slot = $3`,
    [preview.id, host, slotOf(name)],
  );
  if (next === undefined)
    throw new Error(`there is no record of instance ${instanceNameOf(slotOf(name))} of preview ${key}`);
  if (next.id === preview.answering_id) return;
  await rowsOf(client, 'update berth.instances set retired_at = $2 where id = $1', [preview.answering_id, at]);
  await rowsOf(client, 'update berth.instances set routed_at = $2, retired_at = null where id = $1', [next.id, at]);
  await rowsOf(client, 'update berth.previews set answering_id = $2 where id = $1', [preview.id, next.id]);
}
