/** What the sweep finds without a record and a preview then comes to have: with the real state, on a host that is a few maps. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ORPHAN_OBSERVATION_MS } from '../../webhook/core/limits.ts';
import { databaseNameOf, type DatabaseName, type InstanceName, type Slug } from '../../webhook/core/names.ts';
import type { PreviewKey, RepositoryName, Revision, Sha } from '../../webhook/core/pull-request.ts';
import type { Operator, PreviewLock } from '../../webhook/ports.ts';
import { newSweepMemory, sweep } from '../../webhook/reconcile/sweep.ts';
import { silentLog } from '../support/silent-log.ts';
import { openTestState, type TestState } from '../support/test-state.ts';

const SHOP = 'acme/shop' as RepositoryName;
const KEY: PreviewKey = { repositoryId: 81, subject: { kind: 'pull', number: 42 } };
const SLUG = 'shop-42' as Slug;
const REVISION: Revision = { sha: 'a'.repeat(40) as Sha, ref: 'feature' };

/** A host on which everything of `shop-42` was left, seen without a record for longer than the sweep waits. */
class AHost implements AsyncDisposable {
  readonly things = new Set(['route shop-42', 'database preview_shop_42', 'instance p1']);
  /** Runs while open pull requests are listed by the sweep that would remove something. */
  onListing: () => Promise<void> = async () => undefined;
  /** Runs while the thing is being removed. */
  onRemoval: (thing: string) => Promise<void> = async () => undefined;
  readonly state: TestState;
  readonly #memory = newSweepMemory();
  #nowMs = Date.now();

  private constructor(state: TestState) {
    this.state = state;
  }

  static async start(): Promise<AHost> {
    return new AHost(await openTestState());
  }

  /** Sweeps until what is nobody's has been seen for long enough. */
  async sweepForLong(): Promise<void> {
    await this.#sweep(async () => undefined);
    this.#nowMs += ORPHAN_OBSERVATION_MS;
    await this.#sweep(this.onListing);
  }

  async #sweep(onListing: () => Promise<void>): Promise<void> {
    await sweep(this.#ports(onListing), this.#memory, new AbortController().signal);
  }

  async lock(): Promise<PreviewLock> {
    await this.state.store.request(KEY, SHOP);
    const lock = await this.state.store.lock(KEY);
    assert.ok(lock);
    return lock;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.state[Symbol.asyncDispose]();
  }

  #ports(onListing: () => Promise<void>): Operator {
    const named = (kind: string) =>
      [...this.things].filter((each) => each.startsWith(`${kind} `)).map((each) => each.slice(kind.length + 1));
    const remove = (kind: string) => async (name: string) => {
      await this.onRemoval(`${kind} ${name}`);
      this.things.delete(`${kind} ${name}`);
    };
    const host = {
      runtime: {
        list: async () => named('instance').map((name) => ({ name: name as InstanceName })),
        remove: remove('instance'),
      },
      databases: {
        list: async () => named('database') as DatabaseName[],
        listTemplates: async () => [],
        remove: remove('database'),
        limitSize: async () => null,
      },
      routes: {
        list: async () => named('route').map((slug) => ({ slug: slug as Slug })),
        defects: async () => [],
        remove: remove('route'),
      },
      sources: { removeUnused: async () => undefined },
      pullRequests: {
        listOpen: async () => {
          await onListing();
          return [];
        },
      },
      redeliveries: { request: async () => 0 },
    };
    return {
      ...(host as unknown as Operator),
      policy: { repositories: [SHOP], drafts: true },
      clock: { now: () => new Date(this.#nowMs), sleep: () => Promise.reject(new Error('nothing waits')) },
      log: silentLog,
      store: this.state.store,
      jobs: this.state.jobs,
    };
  }
}

const ALL = ['database preview_shop_42', 'instance p1', 'route shop-42'];

suite('what nobody has', () => {
  test('goes once it was seen for long', async () => {
    await using host = await AHost.start();
    await host.sweepForLong();
    assert.deepEqual([...host.things], []);
  });

  test('stays when a preview takes it over while the sweep talks to GitHub', async () => {
    await using host = await AHost.start();
    const { store } = host.state;
    host.onListing = async () => {
      await using lock = await host.lock();
      await store.claimSlug(lock, [SLUG]);
      await store.createInstance(lock, REVISION);
    };
    await host.sweepForLong();
    assert.deepEqual([...host.things].sort(), ALL);
  });

  test('is not had by anybody before it is gone', async () => {
    await using host = await AHost.start();
    const { store } = host.state;
    await using other = await store.lock({ ...KEY, subject: { kind: 'pull', number: 7 } });
    assert.ok(other);
    await store.request(other.key, SHOP);
    let claim: Promise<Slug> | undefined;
    let lock: PreviewLock | undefined;
    const seen: string[] = [];
    host.onRemoval = async (thing) => {
      if (thing === 'instance p1') seen.push((await store.createInstance(other, REVISION)).name);
      if (!thing.startsWith('database')) return;
      lock = await host.lock();
      claim = store.claimSlug(lock, [SLUG]);
      // Many times as long as a claim takes.
      for (let look = 0; look < 20; look += 1) seen.push(String((await store.load(KEY))?.slug));
    };
    await host.sweepForLong();
    assert.deepEqual(seen.sort(), [...Array.from({ length: 20 }, () => 'null'), 'p2'].sort());
    assert.equal(await claim, SLUG);
    // What the preview makes then is its own.
    host.things.add(`database ${databaseNameOf(SLUG)}`);
    await host.sweepForLong();
    assert.ok(host.things.has('database preview_shop_42'));
    await lock?.[Symbol.asyncDispose]();
  });

  test('waits for a preview that has no name yet and will have this one', async () => {
    await using host = await AHost.start();
    await host.state.store.request(KEY, SHOP);
    await host.sweepForLong();
    assert.deepEqual([...host.things].sort(), ['database preview_shop_42', 'route shop-42']);
  });
});
