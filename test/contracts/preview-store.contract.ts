/**
 * What every PreviewStore does, whatever is behind it: PostgreSQL, or the simulated world's store. A case gets a fresh store and a look
 * at which jobs wait.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { extraHostLabel, hostLabelOf, type InstanceName, type Slug } from '../../webhook/core/names.ts';
import type { Failure, Wanted } from '../../webhook/core/preview.ts';
import {
  keyText,
  type PreviewKey,
  type RepositoryName,
  type Revision,
  type Sha,
} from '../../webhook/core/pull-request.ts';
import { parsePool, type AddressPool } from '../../webhook/core/slots.ts';
import type { JobQueue, PreviewLock, PreviewStore } from '../../webhook/ports.ts';

export interface StoreUnderTest extends AsyncDisposable {
  readonly store: PreviewStore;
  readonly jobs: JobQueue;
  /** Names of the jobs that wait, `<task>:<key>`, sorted, with when they are due. */
  readonly waitingJobs: () => Promise<{ name: string; runAt: Date }[]>;
}

export type StoreFactory = (options: { pool: AddressPool }) => Promise<StoreUnderTest>;

const REPOSITORY = 'acme/shop' as RepositoryName;
const sha = (digit: string) => digit.repeat(40) as Sha;
const FIRST: Revision = { sha: sha('a'), ref: 'feature' };
const SECOND: Revision = { sha: sha('b'), ref: 'feature' };
const slug = (text: string) => text as Slug;

export function pullKey(number: number, repositoryId = 81): PreviewKey {
  return { repositoryId, subject: { kind: 'pull', number } };
}

function poolOf(cidr: string): AddressPool {
  const pool = parsePool(cidr);
  assert.ok(pool);
  return pool;
}

const WIDE = poolOf('10.100.0.0/16');
/** Six slots. */
const SMALL = poolOf('10.100.0.0/28');

async function locked(store: PreviewStore, key: PreviewKey): Promise<PreviewLock> {
  const lock = await store.lock(key);
  assert.ok(lock, `the lock of ${keyText(key)} is free`);
  return lock;
}

/** A record with its lock. */
async function requested(store: PreviewStore, key: PreviewKey): Promise<PreviewLock> {
  await store.request(key, REPOSITORY);
  return locked(store, key);
}

const FAILURE: Failure = {
  code: 'SETUP_FAILED',
  step: 'set-up',
  message: 'npm ci failed',
  hint: 'look',
  detail: 'line 1\nline 2',
  sha: FIRST.sha,
  at: new Date('2026-11-20T10:00:00.123Z'),
  attempts: 2,
  retry: 'later',
  nextAttemptAt: new Date('2026-11-20T10:00:04.123Z'),
};

export function previewStoreContract(name: string, open: StoreFactory): void {
  const withStore =
    (run: (under: StoreUnderTest) => Promise<void>, pool: AddressPool = WIDE) =>
    async () => {
      await using under = await open({ pool });
      await run(under);
    };

  suite(`PreviewStore: ${name}`, () => {
    suite('asking', () => asking(withStore));
    suite('locks', () => locks(withStore));
    suite('facts', () => facts(withStore));
    suite('names', () => names(withStore));
    suite('instances and slots', () => instances(withStore));
    suite('forgetting', () => forgetting(withStore));
    suite('reports', () => reports(withStore));
    suite('jobs', () => jobs(withStore));
  });
}

type WithStore = (run: (under: StoreUnderTest) => Promise<void>, pool?: AddressPool) => () => Promise<void>;

function asking(withStore: WithStore): void {
  test(
    'a first request makes a record and a job, each further one only raises the generation',
    withStore(async ({ store, waitingJobs }) => {
      const key = pullKey(42);
      assert.equal(await store.load(key), null);
      assert.equal(await store.generation(key), 0);
      await store.request(key, REPOSITORY);
      const first = await store.load(key);
      assert.ok(first);
      assert.deepEqual(first.key, key);
      assert.equal(first.repository, REPOSITORY);
      assert.equal(first.slug, null);
      assert.deepEqual(first.instances, []);
      await store.request(key, 'acme/renamed' as RepositoryName);
      const second = await store.load(key);
      assert.ok(second);
      assert.ok(second.generation > first.generation);
      assert.equal(await store.generation(key), second.generation);
      assert.equal(second.repository, 'acme/renamed');
      assert.equal(second.id, first.id);
      assert.deepEqual(
        (await waitingJobs()).map((job) => job.name),
        ['reconcile:81/pull/42'],
      );
    }),
  );

  test(
    'pull requests and branches of one repository do not meet, and the list is in order of creation',
    withStore(async ({ store }) => {
      const keys: PreviewKey[] = [
        pullKey(7),
        { repositoryId: 81, subject: { kind: 'branch', name: '7' } },
        { repositoryId: 81, subject: { kind: 'branch', name: 'pull/7' } },
        pullKey(2 ** 31 - 1, Number.MAX_SAFE_INTEGER),
      ];
      for (const key of keys) await store.request(key, REPOSITORY);
      assert.deepEqual(
        (await store.list()).map((record) => record.key),
        keys,
      );
    }),
  );

  test(
    'a retry and a hold are remembered by later requests until they are changed',
    withStore(async ({ store }) => {
      const key = pullKey(1);
      await store.request(key, REPOSITORY);
      assert.equal((await store.load(key))?.retryAskedAt, null);
      const hold = { kind: 'pinned', revision: FIRST, whileHead: SECOND.sha } as const;
      await store.request(key, REPOSITORY, { retry: true, hold });
      await store.request(key, REPOSITORY);
      const record = await store.load(key);
      assert.ok(record?.retryAskedAt instanceof Date);
      assert.deepEqual(record.hold, hold);
      await store.request(key, REPOSITORY, { hold: null });
      assert.equal((await store.load(key))?.hold, null);
      assert.ok((await store.load(key))?.retryAskedAt);
    }),
  );

  test(
    'a hundred requests at once are one record, one job, and a hundred generations',
    withStore(async ({ store, waitingJobs }) => {
      const key = pullKey(5);
      await Promise.all(Array.from({ length: 100 }, () => store.request(key, REPOSITORY)));
      assert.equal(await store.generation(key), 100);
      assert.equal((await store.list()).length, 1);
      assert.equal((await waitingJobs()).length, 1);
    }),
  );
}

function locks(withStore: WithStore): void {
  test(
    'one holder at a time, of one key at a time, and free again when disposed of',
    withStore(async ({ store }) => {
      const attempts = await Promise.all(Array.from({ length: 10 }, () => store.lock(pullKey(1))));
      const [lock, ...others] = attempts.filter((each) => each !== null);
      assert.ok(lock);
      assert.deepEqual(others, []);
      assert.deepEqual(lock.key, pullKey(1));
      await using other = await locked(store, pullKey(2));
      assert.ok(other);
      await lock[Symbol.asyncDispose]();
      await using again = await locked(store, pullKey(1));
      assert.ok(again);
    }),
  );

  test(
    'a lock that was given back proves nothing, and giving it back twice frees nobody else’s',
    withStore(async ({ store }) => {
      const lock = await requested(store, pullKey(1));
      await lock[Symbol.asyncDispose]();
      await assert.rejects(async () => store.saveDoing(lock, 'look'));
      await using again = await locked(store, pullKey(1));
      await lock[Symbol.asyncDispose]();
      assert.equal(await store.lock(pullKey(1)), null);
      await store.saveDoing(again, 'look');
    }),
  );
}

function facts(withStore: WithStore): void {
  test(
    'what is saved is what is loaded',
    withStore(async ({ store }) => {
      const key = pullKey(9);
      await using lock = await requested(store, key);
      const wanted: Wanted = { presence: 'present', revision: FIRST };
      await store.saveWanted(lock, wanted, 'acme/moved' as RepositoryName);
      await store.saveDoing(lock, 'set-up');
      await store.saveFailure(lock, FAILURE);
      await store.saveDatabase(lock, { name: 'preview_shop_9' as never, password: 'p'.repeat(24) });
      const record = await store.load(key);
      assert.ok(record);
      assert.deepEqual(record.wanted, wanted);
      assert.equal(record.repository, 'acme/moved');
      assert.equal(record.doing?.step, 'set-up');
      assert.ok(record.doing.since instanceof Date);
      assert.deepEqual(record.failure, FAILURE);
      assert.deepEqual(record.database, { name: 'preview_shop_9', password: 'p'.repeat(24) });

      await store.saveDoing(lock, null);
      await store.saveFailure(lock, null);
      await store.saveDatabase(lock, null);
      const cleared = await store.load(key);
      assert.equal(cleared?.doing, null);
      assert.equal(cleared?.failure, null);
      assert.equal(cleared?.database, null);
    }),
  );

  test(
    'what is given up is marked together with its failure',
    withStore(async ({ store }) => {
      const key = pullKey(9);
      await using lock = await requested(store, key);
      const one = await store.createInstance(lock, FIRST);
      const two = await store.createInstance(lock, SECOND);
      await store.saveFailure(lock, FAILURE, two.name);
      const record = await store.load(key);
      assert.deepEqual(record?.failure, FAILURE);
      assert.deepEqual(
        record?.instances.map((each) => each.failedAt),
        [null, FAILURE.at],
      );
      assert.equal(one.failedAt, null);
    }),
  );

  test(
    'facts of an instance are saved one by one, and timings come together',
    withStore(async ({ store }) => {
      const key = pullKey(9);
      await using lock = await requested(store, key);
      const { name } = await store.createInstance(lock, FIRST);
      const at = new Date('2026-11-20T10:00:00.123Z');
      await Promise.all([
        store.saveInstance(lock, name, { sourcePlacedAt: at, timings: { 'place-source': 12 } }),
        store.saveInstance(lock, name, { system: '/nix/store/x', timings: { 'build-system': 34 } }),
      ]);
      await store.saveInstance(lock, name, {
        upstreams: { 3000: { address: '127.0.0.1', port: 4001 } },
        assumptions: ['a "quoted" one'],
        healthyAt: at,
      });
      await store.saveInstance(lock, name, { healthyAt: null });
      await store.saveInstance(lock, name, {});
      const instance = (await store.load(key))?.instances[0];
      assert.ok(instance);
      assert.deepEqual(instance.sourcePlacedAt, at);
      assert.equal(instance.system, '/nix/store/x');
      assert.deepEqual(instance.timings, { 'place-source': 12, 'build-system': 34 });
      assert.deepEqual(instance.upstreams, { 3000: { address: '127.0.0.1', port: 4001 } });
      assert.deepEqual(instance.assumptions, ['a "quoted" one']);
      assert.equal(instance.healthyAt, null);
      assert.equal(instance.manifest, null);
    }),
  );
}

function names(withStore: WithStore): void {
  test(
    'the first free candidate is taken and kept for life',
    withStore(async ({ store }) => {
      await using one = await requested(store, pullKey(1, 1));
      await using two = await requested(store, pullKey(1, 2));
      assert.equal(await store.claimSlug(one, [slug('shop-1')]), 'shop-1');
      assert.equal(await store.claimSlug(two, [slug('shop-1'), slug('shop-1-abcde')]), 'shop-1-abcde');
      assert.equal(await store.claimSlug(one, [slug('other')]), 'shop-1');
      assert.deepEqual((await store.loadBySlug(slug('shop-1-abcde')))?.key, two.key);
      assert.equal(await store.loadBySlug(slug('other')), null);
    }),
  );

  test(
    'without a free candidate nothing is claimed',
    withStore(async ({ store }) => {
      await using one = await requested(store, pullKey(1));
      await using two = await requested(store, pullKey(2));
      await store.claimSlug(one, [slug('shop')]);
      await assert.rejects(store.claimSlug(two, [slug('shop')]), { code: 'SLUG_UNAVAILABLE' });
      assert.equal((await store.load(two.key))?.slug, null);
    }),
  );

  test(
    'fifty previews that want one name at once get fifty names',
    withStore(async ({ store }) => {
      const claimed = await Promise.all(
        Array.from({ length: 50 }, async (_, index) => {
          await using lock = await requested(store, pullKey(index + 1));
          return await store.claimSlug(lock, [slug('shop'), slug(`shop-${index + 1}`)]);
        }),
      );
      assert.equal(new Set(claimed).size, 50);
      assert.ok(claimed.includes(slug('shop')));
    }),
  );

  test(
    'host labels are exactly those asked for, and a taken one changes nothing',
    withStore(async ({ store }) => {
      await using one = await requested(store, pullKey(1));
      await using two = await requested(store, pullKey(2));
      const shop = await store.claimSlug(one, [slug('shop')]);
      await store.claimSlug(two, [slug('blog')]);
      const api = extraHostLabel('api', shop);
      const admin = extraHostLabel('admin', shop);
      await store.claimHosts(one, [hostLabelOf(shop), api]);
      await assert.rejects(store.claimHosts(two, [hostLabelOf(slug('blog')), hostLabelOf(slug('extra')), api]), {
        code: 'HOST_NAME_TAKEN',
        message: /api-shop/,
      });
      // Nothing of the refused claim was kept, so that others may have it.
      await store.claimHosts(one, [hostLabelOf(shop), hostLabelOf(slug('extra')), admin]);
      // And what was not asked for again is free.
      await store.claimHosts(two, [hostLabelOf(slug('blog')), api]);
    }),
  );

  test(
    'a slug cannot be the extra host of another preview, nor the other way round',
    withStore(async ({ store }) => {
      await using one = await requested(store, pullKey(1));
      await using two = await requested(store, pullKey(2));
      const shop = await store.claimSlug(one, [slug('shop')]);
      await store.claimHosts(one, [hostLabelOf(shop), extraHostLabel('api', shop)]);
      assert.equal(await store.claimSlug(two, [slug('api-shop'), slug('api-shop-2')]), 'api-shop-2');
      await assert.rejects(store.claimHosts(one, [hostLabelOf(shop), hostLabelOf(slug('api-shop-2'))]), {
        code: 'HOST_NAME_TAKEN',
      });
    }),
  );
}

function instances(withStore: WithStore): void {
  test(
    'instances are numbered by the host’s counter, in order, and a number is not used again before the wrap',
    withStore(async ({ store }) => {
      const key = pullKey(1);
      await using lock = await requested(store, key);
      const one = await store.createInstance(lock, FIRST);
      assert.equal(one.name, 'p1');
      assert.equal(one.slot, 1);
      assert.deepEqual(one.revision, FIRST);
      assert.equal(one.generation, await store.generation(key));
      const two = await store.createInstance(lock, SECOND);
      await store.removeInstance(lock, one.name);
      await store.removeInstance(lock, one.name);
      const three = await store.createInstance(lock, FIRST);
      assert.deepEqual([two.slot, three.slot], [2, 3]);
      assert.deepEqual((await store.load(key))?.instances, [two, three]);
    }),
  );

  test(
    'the counter wraps at the end of the range, skips what is in use, and a full range is refused',
    withStore(async ({ store }) => {
      await using lock = await requested(store, pullKey(1));
      const create = async () => (await store.createInstance(lock, FIRST)).slot;
      const remove = (slot: number) => store.removeInstance(lock, `p${slot}` as InstanceName);
      assert.deepEqual([await create(), await create(), await create()], [1, 2, 3]);
      await remove(2);
      assert.deepEqual([await create(), await create(), await create()], [4, 5, 6]);
      assert.equal(await create(), 2);
      await assert.rejects(create(), { code: 'SLOTS_EXHAUSTED' });
      assert.equal((await store.load(pullKey(1)))?.instances.length, 6);
      await remove(5);
      assert.equal(await create(), 5);
    }, SMALL),
  );

  test(
    'two hundred created at once get two hundred slots',
    withStore(async ({ store }) => {
      const slots = await Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          await using lock = await requested(store, pullKey(index + 1));
          return (await store.createInstance(lock, FIRST)).slot;
        }),
      );
      assert.deepEqual(
        slots.toSorted((a, b) => a - b),
        Array.from({ length: 200 }, (_, index) => index + 1),
      );
    }),
  );

  test(
    'a switch retires the instance before, a switch back revives it, and the same again changes nothing',
    withStore(async ({ store }) => {
      const key = pullKey(1);
      await using lock = await requested(store, key);
      const one = await store.createInstance(lock, FIRST);
      const two = await store.createInstance(lock, SECOND);
      const at = (minute: number) => new Date(Date.UTC(2026, 10, 20, 10, minute));
      await store.saveSwitch(lock, one.name, at(1));
      await store.saveSwitch(lock, two.name, at(2));
      await store.saveSwitch(lock, two.name, at(3));
      const read = async () => {
        const record = await store.load(key);
        return [record?.answering, ...(record?.instances ?? []).flatMap((each) => [each.routedAt, each.retiredAt])];
      };
      assert.deepEqual(await read(), ['p2', at(1), at(2), at(2), null]);
      await store.saveSwitch(lock, one.name, at(4));
      assert.deepEqual(await read(), ['p1', at(4), null, at(2), at(4)]);
      await store.removeInstance(lock, one.name);
      assert.deepEqual(await read(), [null, at(2), at(4)]);
    }),
  );
}

function forgetting(withStore: WithStore): void {
  test(
    'a record goes with its names, instances and slots; what was asked meanwhile keeps it',
    withStore(async ({ store }) => {
      const key = pullKey(1);
      await using lock = await requested(store, key);
      const shop = await store.claimSlug(lock, [slug('shop')]);
      await store.claimHosts(lock, [hostLabelOf(shop), extraHostLabel('api', shop)]);
      for (let index = 0; index < 6; index += 1) await store.createInstance(lock, FIRST);
      const generation = await store.generation(key);
      await store.request(key, REPOSITORY);
      assert.equal(await store.forget(lock, generation), false);
      assert.equal((await store.load(key))?.instances.length, 6);
      assert.equal(await store.forget(lock, generation + 1), true);
      assert.equal(await store.load(key), null);
      assert.equal(await store.generation(key), 0);
      assert.equal(await store.forget(lock, generation + 1), true, 'absence is success');

      await using other = await requested(store, pullKey(2));
      assert.equal(await store.claimSlug(other, [slug('api-shop')]), 'api-shop');
      for (let index = 0; index < 6; index += 1) await store.createInstance(other, FIRST);
    }, SMALL),
  );
}

function reports(withStore: WithStore): void {
  test(
    'what was told outlives the preview',
    withStore(async ({ store }) => {
      const key = pullKey(1);
      assert.equal(await store.loadReport(key), null);
      const empty = {
        key,
        repository: REPOSITORY,
        commentId: null,
        commentHash: null,
        status: null,
        lookAskedAt: null,
        lookedAt: null,
      };
      await store.saveReport(empty);
      assert.deepEqual(await store.loadReport(key), empty);
      const told = {
        ...empty,
        commentId: 2 ** 40,
        commentHash: 'c',
        status: { sha: FIRST.sha, hash: 's' },
        lookAskedAt: null,
        lookedAt: null,
      };
      await using lock = await requested(store, key);
      await store.saveReport(told);
      await store.forget(lock, await store.generation(key));
      assert.deepEqual(await store.loadReport(key), told);
    }),
  );

  test(
    'a look at a comment is asked for in turns, where there is a preview and a comment',
    withStore(async ({ store }) => {
      const keys = [pullKey(1), pullKey(2), pullKey(3), pullKey(4)] as const;
      const asked = () => Promise.all(keys.map(async (key) => (await store.loadReport(key))?.lookAskedAt !== null));
      for (const [index, key] of keys.entries()) {
        // The third has no comment, the fourth no preview.
        const commentId = index === 2 ? null : index + 1;
        const told = { commentId, commentHash: 'c', status: null, lookAskedAt: null, lookedAt: null };
        await store.saveReport({ key, repository: REPOSITORY, ...told });
        if (index < 3) await store.request(key, REPOSITORY);
      }
      await store.askForCommentLooks(1);
      assert.deepEqual(await asked(), [true, false, false, false]);
      await store.askForCommentLooks(1);
      assert.deepEqual(await asked(), [true, true, false, false]);
      await store.askForCommentLooks(9);
      assert.deepEqual(await asked(), [true, true, false, false]);
    }),
  );

  test(
    'a look that is asked for while one is under way is not lost',
    withStore(async ({ store }) => {
      const key = pullKey(1);
      await store.request(key, REPOSITORY);
      const told = { commentId: 1, commentHash: 'c', status: null, lookAskedAt: null, lookedAt: null };
      await store.saveReport({ key, repository: REPOSITORY, ...told });
      await store.askForCommentLooks(1);
      const before = await store.loadReport(key);
      assert.ok(before?.lookAskedAt instanceof Date);
      // Until a millisecond has passed.
      do await store.askForCommentLooks(1);
      while ((await store.loadReport(key))?.lookAskedAt?.getTime() === before.lookAskedAt.getTime());
      await store.saveReport({ ...before, lookedAt: before.lookAskedAt });
      const after = await store.loadReport(key);
      assert.deepEqual(after?.lookedAt, before.lookAskedAt);
      assert.ok(after?.lookAskedAt != null && after.lookAskedAt > before.lookAskedAt);
      await store.saveReport({ ...after, lookedAt: after.lookAskedAt });
      const done = await store.loadReport(key);
      assert.deepEqual(done?.lookedAt, done?.lookAskedAt);
    }),
  );
}

function jobs(withStore: WithStore): void {
  test(
    'a look takes place no later than anyone asked, in whatever order they did',
    withStore(async ({ jobs: queue, waitingJobs }) => {
      const key = pullKey(1);
      const late = new Date(Date.now() + 3_600_000);
      const later = new Date(late.getTime() + 3_600_000);
      const due = async () => (await waitingJobs()).map((job) => job.runAt.getTime());
      await queue.enqueueReconcile(key, later);
      await queue.enqueueReconcile(key, late);
      await queue.enqueueReconcile(key, later);
      assert.deepEqual(await due(), [late.getTime()]);
      await queue.enqueueReconcile(key);
      await queue.enqueueReconcile(key, late);
      const [now, ...others] = await due();
      assert.deepEqual(others, []);
      assert.ok(now !== undefined && now <= Date.now() + 1_000);
    }),
  );

  test(
    'looks, reports and the sweep are different jobs',
    withStore(async ({ jobs: queue, waitingJobs }) => {
      await queue.enqueueReport(pullKey(1));
      await queue.enqueueReport(pullKey(1));
      await queue.enqueueReconcile(pullKey(1));
      await queue.enqueueSweep();
      await queue.enqueueSweep(new Date(Date.now() + 60_000));
      assert.deepEqual(
        (await waitingJobs()).map((job) => job.name.split(':')[0]),
        ['reconcile', 'report', 'sweep'],
      );
    }),
  );
}
