/** Facts, reports and forgetting: what is saved is what is loaded, and goes with its preview. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { extraHostLabel, hostLabelOf } from '../../webhook/core/names.ts';
import type { Failure, Hold, Wanted } from '../../webhook/core/preview.ts';
import type { RepositoryName } from '../../webhook/core/pull-request.ts';
import { nothingTold } from '../../webhook/core/report-record.ts';
import { FIRST, pullKey, REPOSITORY, requested, SECOND, slug, SMALL, type WithStore } from './store-under-test.ts';

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

export function facts(withStore: WithStore): void {
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
      await store.saveConcluded(lock, 1);
      const record = await store.load(key);
      assert.ok(record);
      assert.equal(record.concludedGeneration, 1);
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
    'a hold is lifted, but not another one that an operator placed meanwhile',
    withStore(async ({ store }) => {
      const key = pullKey(9);
      const holds: Hold[] = [
        { kind: 'pinned', revision: FIRST, whileHead: SECOND.sha },
        { kind: 'destroyed', whileHead: SECOND.sha },
      ];
      await using lock = await requested(store, key);
      for (const hold of holds) {
        await store.request(key, REPOSITORY, { hold });
        for (const other of holds) if (other !== hold) await store.liftHold(lock, other);
        await store.liftHold(lock, { ...hold, whileHead: FIRST.sha });
        assert.deepEqual((await store.load(key))?.hold, hold);
        await store.liftHold(lock, hold);
        assert.equal((await store.load(key))?.hold, null);
        await store.liftHold(lock, hold);
      }
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

export function forgetting(withStore: WithStore): void {
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

export function reports(withStore: WithStore): void {
  test(
    'what was told outlives the preview',
    withStore(async ({ store }) => {
      const key = pullKey(1);
      assert.equal(await store.loadReport(key), null);
      const begun = { ...nothingTold(key, REPOSITORY), creatingSince: new Date(1_700_000_000_123) };
      await store.saveReport(begun);
      assert.deepEqual(await store.loadReport(key), begun);
      const told = {
        ...nothingTold(key, REPOSITORY),
        commentId: 2 ** 40,
        commentHash: 'c',
        status: { sha: FIRST.sha, hash: 's' },
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
        await store.saveReport({ ...nothingTold(key, REPOSITORY), commentId, commentHash: 'c' });
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
      await store.saveReport({ ...nothingTold(key, REPOSITORY), commentId: 1, commentHash: 'c' });
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
