/**
 * What every PreviewStore does, whatever is behind it: PostgreSQL, or the simulated world's store. A case gets a fresh store and a look
 * at which jobs wait.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { PreviewKey, RepositoryName } from '../../webhook/core/pull-request.ts';
import type { AddressPool } from '../../webhook/core/slots.ts';
import { facts, forgetting, reports } from './store-facts.contract.ts';
import { heldNames, instances, names } from './store-names.contract.ts';
import {
  FIRST,
  locked,
  pullKey,
  REPOSITORY,
  requested,
  SECOND,
  WIDE,
  type StoreFactory,
  type StoreUnderTest,
  type WithStore,
} from './store-under-test.ts';

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
    suite('held names', () => heldNames(withStore));
    suite('instances and slots', () => instances(withStore));
    suite('forgetting', () => forgetting(withStore));
    suite('reports', () => reports(withStore));
    suite('jobs', () => jobs(withStore));
  });
}

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
