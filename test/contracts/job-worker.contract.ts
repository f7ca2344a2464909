/** What the queue and its workers do, whatever is behind them: graphile-worker on PostgreSQL, or the simulated world's. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { keyText, type PreviewKey } from '../../webhook/core/pull-request.ts';
import type { JobHandlers, JobQueue } from '../../webhook/ports.ts';
import { pullKey } from './store-under-test.ts';

export interface WorkerUnderTest extends AsyncDisposable {
  readonly jobs: JobQueue;
  /** A worker begins; it ends with the test. */
  start(handlers: JobHandlers, limits: { concurrency: number; patienceMs?: number }): Promise<void>;
  /** Lets time pass until it is so. Throws when that takes too long. */
  until(what: string, isSo: () => boolean): Promise<void>;
  now(): Date;
}

const A = pullKey(1);
const B = pullKey(2);
const NOTHING = async () => undefined;

/** Handlers that say what runs, and end when they are told to. */
function watchedHandlers() {
  const started: string[] = [];
  const running = new Set<string>();
  const ends = new Map<string, () => void>();
  const reconcile = async (key: PreviewKey): Promise<void> => {
    const name = keyText(key);
    assert.ok(!running.has(name), `${name} runs twice at a time`);
    started.push(name);
    running.add(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.set(name, resolve);
    await promise;
    running.delete(name);
  };
  const end = (key: PreviewKey) => ends.get(keyText(key))?.();
  return { handlers: { reconcile, report: NOTHING, sweep: NOTHING }, started, running, end };
}

export function jobWorkerContract(name: string, open: () => Promise<WorkerUnderTest>): void {
  suite(`the job queue’s contract: ${name}`, () => {
    test('what is asked for before anybody works is done when somebody does', async () => {
      await using under = await open();
      const { handlers, started, end } = watchedHandlers();
      await under.jobs.enqueueReconcile(A);
      await under.start(handlers, { concurrency: 2 });
      await under.until('the job runs', () => started.length === 1);
      end(A);
    });

    test('however often it is asked for while it waits, it runs once', async () => {
      await using under = await open();
      const { handlers, started, running, end } = watchedHandlers();
      for (let times = 0; times < 5; times += 1) await under.jobs.enqueueReconcile(A);
      await under.jobs.enqueueReconcile(B);
      await under.start(handlers, { concurrency: 4 });
      await under.until('both run', () => started.length === 2);
      end(A);
      end(B);
      await under.until('both have ended', () => running.size === 0);
      assert.deepEqual(started.toSorted(), [keyText(A), keyText(B)]);
    });

    test('however often it is asked for while it runs, there is one follow-up, and not at the same time', async () => {
      await using under = await open();
      const { handlers, started, running, end } = watchedHandlers();
      await under.start(handlers, { concurrency: 4 });
      await under.jobs.enqueueReconcile(A);
      await under.until('it runs', () => started.length === 1);
      for (let times = 0; times < 5; times += 1) await under.jobs.enqueueReconcile(A);
      // Another key is not held up by it.
      await under.jobs.enqueueReconcile(B);
      await under.until('the other key runs meanwhile', () => running.has(keyText(B)));
      assert.equal(started.length, 2);
      end(A);
      end(B);
      await under.until('the follow-up runs', () => started.length === 3);
      end(A);
      await under.until('all have ended', () => running.size === 0);
      await under.jobs.enqueueReconcile(B);
      await under.until('nothing but what was asked for runs', () => started.length === 4);
      assert.deepEqual(started, [keyText(A), keyText(B), keyText(A), keyText(B)]);
      end(B);
    });

    test('a look takes place no later than anyone asked', async () => {
      await using under = await open();
      const { handlers, started, end } = watchedHandlers();
      const later = new Date(under.now().getTime() + 3_600_000);
      await under.jobs.enqueueReconcile(A, later);
      await under.jobs.enqueueReconcile(B);
      await under.jobs.enqueueReconcile(A);
      await under.jobs.enqueueReconcile(A, later);
      await under.start(handlers, { concurrency: 4 });
      await under.until('both run', () => started.length === 2);
      end(A);
      end(B);
    });

    test('a handler that throws gets its job again', async () => {
      await using under = await open();
      let tries = 0;
      const reconcile = async () => {
        tries += 1;
        if (tries < 2) throw new Error('not this time');
      };
      await under.start({ reconcile, report: NOTHING, sweep: NOTHING }, { concurrency: 1 });
      await under.jobs.enqueueReconcile(A);
      await under.until('it was tried again', () => tries === 2);
    });

    test('no more than so many at a time', async () => {
      await using under = await open();
      const { handlers, started, running, end } = watchedHandlers();
      const keys = [1, 2, 3, 4, 5].map((number) => pullKey(number));
      for (const key of keys) await under.jobs.enqueueReconcile(key);
      await under.start(handlers, { concurrency: 2 });
      let most = 0;
      await under.until('all have run', () => {
        most = Math.max(most, running.size);
        if (running.size === 2 || started.length === 5) for (const key of keys) end(key);
        return started.length === 5 && running.size === 0;
      });
      assert.equal(most, 2);
    });

    test('what takes long gives its place to the next, until twice as many run', async () => {
      await using under = await open();
      const { handlers, started, running, end } = watchedHandlers();
      const keys = [1, 2, 3, 4, 5].map((number) => pullKey(number));
      for (const key of keys) await under.jobs.enqueueReconcile(key);
      await under.start(handlers, { concurrency: 2, patienceMs: 500 });
      await under.until('two run', () => running.size === 2);
      await under.until('two more run', () => running.size === 4);
      const since = under.now().getTime();
      await under.until('all four have taken long', () => under.now().getTime() > since + 1_000);
      assert.equal(started.length, 4);
      for (const name of running) end(keys.find((key) => keyText(key) === name) ?? A);
      await under.until('the fifth runs', () => started.length === 5);
      for (const key of keys) end(key);
    });
  });
}
