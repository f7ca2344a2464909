/** Names, instances and slots: everything that two previews could want at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { extraHostLabel, hostLabelOf, type InstanceName } from '../../webhook/core/names.ts';
import { FIRST, pullKey, requested, SECOND, slug, SMALL, type WithStore } from './store-under-test.ts';

export function names(withStore: WithStore): void {
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

export function heldNames(withStore: WithStore): void {
  test(
    'one holder at a time, of one name at a time, and free again when disposed of',
    withStore(async ({ store }) => {
      const held = await store.lockName(slug('shop'));
      assert.ok(held);
      assert.equal(await store.lockName(slug('shop')), null);
      await using other = await store.lockName(slug('shop-1'));
      assert.ok(other);
      await held[Symbol.asyncDispose]();
      await using again = await store.lockName(slug('shop'));
      assert.ok(again);
    }),
  );

  test(
    'a slug is claimed once nobody holds its name; other names, and who has one, do not wait',
    withStore(async ({ store }) => {
      await using one = await requested(store, pullKey(1));
      await using two = await requested(store, pullKey(2));
      const held = await store.lockName(slug('shop'));
      assert.ok(held);
      let isClaimed = false;
      const claim = store.claimSlug(one, [slug('shop'), slug('shop-1')]).then((claimed) => {
        isClaimed = true;
        return claimed;
      });
      assert.equal(await store.claimSlug(two, [slug('blog')]), 'blog');
      // More than a claim takes.
      for (let look = 0; look < 20; look += 1) assert.equal(await store.claimSlug(two, [slug('shop')]), 'blog');
      assert.equal(await store.loadBySlug(slug('shop')), null);
      assert.equal(isClaimed, false);
      await held[Symbol.asyncDispose]();
      assert.equal(await claim, 'shop');
    }),
  );

  test(
    'no instance gets a name that is held, and none waits for it',
    withStore(async ({ store }) => {
      await using lock = await requested(store, pullKey(1));
      const create = async () => (await store.createInstance(lock, FIRST)).slot;
      const held = [await store.lockName('p1' as InstanceName), await store.lockName('p3' as InstanceName)];
      assert.deepEqual([await create(), await create(), await create(), await create()], [2, 4, 5, 6]);
      await assert.rejects(create(), { code: 'SLOTS_EXHAUSTED' });
      for (const each of held) await each?.[Symbol.asyncDispose]();
      assert.deepEqual([await create(), await create()], [1, 3]);
    }, SMALL),
  );
}

export function instances(withStore: WithStore): void {
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
