/**
 * PreviewStore on PostgreSQL: one statement or one transaction per verb, so that a process may die between any two of them. Names and instances are in
 * files of their own.
 */
import type { Pool } from 'pg';
import type { PreviewRecord } from '../../core/preview.ts';
import { keyText, type PreviewKey } from '../../core/pull-request.ts';
import type { AddressPool } from '../../core/slots.ts';
import type { PreviewLock, PreviewStore } from '../../ports.ts';
import { inTransaction, rowsOf } from './connections.ts';
import type { Life, Liveness } from './liveness.ts';
import type { ProvenKey } from './locked-row.ts';
import { instancesOf, saveInstance } from './preview-instances.ts';
import { namesOf } from './preview-names.ts';
import { previewFrom, reportFrom, SELECT_PREVIEWS, SELECT_REPORTS } from './preview-rows.ts';

interface StoreOptions {
  readonly pool: Pool;
  readonly liveness: Liveness;
  /** Whose slot counter instances are numbered from. */
  readonly host: string;
  readonly addresses: AddressPool;
}

/** Locks that we gave out and that still hold, each with the life of the connection that it depends on. */
type HeldLocks = WeakMap<PreviewLock, Life>;

/** What is changed under a lock throws when that lock is not held any more. */
export function previewStore(options: StoreOptions): PreviewStore {
  const { pool } = options;
  const locks: HeldLocks = new WeakMap();
  const proven: ProvenKey = (lock) => {
    const life = locks.get(lock);
    if (life === undefined) throw new Error(`the lock of preview ${keyText(lock.key)} is not held any more`);
    life.lost.throwIfAborted();
    return keyText(lock.key);
  };
  const read = reading(pool);
  return {
    ...read,
    ...reports(pool),
    ...facts(options, proven),
    ...namesOf(pool, proven),
    ...instancesOf(options, proven),
    lock: (key) => takeLock(options.liveness, locks, key),
    lockName: (name) => takeName(options.liveness, name),

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

    async forget(lock, generation) {
      // Labels, instances and slots go with the row. Who asks at this moment waits for us and then makes a new record.
      const key = proven(lock);
      await rowsOf(pool, 'delete from berth.previews where key = $1 and generation = $2', [key, generation]);
      return (await read.generation(lock.key)) === 0;
    },
  };
}

/** Columns of the preview itself. */
function facts(
  { pool, host }: StoreOptions,
  proven: ProvenKey,
): Pick<PreviewStore, 'liftHold' | 'saveWanted' | 'saveDoing' | 'saveFailure' | 'saveDatabase' | 'saveConcluded'> {
  const update = async (lock: PreviewLock, assignments: string, values: unknown[]) => {
    await rowsOf(pool, `update berth.previews set ${assignments} where key = $1`, [proven(lock), ...values]);
  };
  return {
    async liftHold(lock, hold) {
      const values = [proven(lock), JSON.stringify(hold)];
      await rowsOf(pool, 'update berth.previews set hold = null where key = $1 and hold = $2::jsonb', values);
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
        await saveInstance(client, { key, host, name: givenUp, facts: { failedAt: failure.at } });
      });
    },
    saveConcluded: (lock, generation) => update(lock, 'concluded_generation = $2', [generation]),
    saveDatabase: (lock, database) =>
      update(lock, 'database_name = $2, database_password = $3', [database?.name ?? null, database?.password ?? null]),
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
      const [row] = await rowsOf(pool, `${SELECT_REPORTS} where key = $1`, [keyText(key)]);
      return row === undefined ? null : reportFrom(row);
    },
    async saveReport({ key, repository, commentId, creatingSince, commentHash, status, lookedAt }) {
      const { sha, hash } = status ?? { sha: null, hash: null };
      await rowsOf(
        pool,
        `insert into berth.reports
           (key, repository, comment_id, creating_since, comment_hash, status_sha, status_hash, looked_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (key) do update
         set repository = excluded.repository, comment_id = excluded.comment_id, creating_since = excluded.creating_since,
           comment_hash = excluded.comment_hash, status_sha = excluded.status_sha, status_hash = excluded.status_hash,
           looked_at = excluded.looked_at, updated_at = now()`,
        [keyText(key), repository, commentId, creatingSince, commentHash, sha, hash, lookedAt],
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

/** No key of a preview is a name: it has slashes. Claims take the same lock (locked-row.ts). */
async function takeName(liveness: Liveness, name: string): Promise<AsyncDisposable | null> {
  const life = await liveness.current();
  if (!(await life.tryLock(name))) return null;
  return { [Symbol.asyncDispose]: () => life.unlock(name) };
}

/** The columns that, with the repository's id, make the key. */
export function subjectColumns({ subject }: PreviewKey): { pull: number | null; branch: string | null } {
  return subject.kind === 'pull' ? { pull: subject.number, branch: null } : { pull: null, branch: subject.name };
}
