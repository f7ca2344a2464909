import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { suite, test, type TestContext } from 'node:test';
import type { Worker } from 'graphile-worker';
import { workerLooks } from '../../../../webhook/adapters/postgres/worker-looks.ts';

const POLL_MS = 250;

/** A worker as graphile-worker's, with nothing to find: it counts its looks. */
function anIdleWorker(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const events = new EventEmitter();
  const looksAt: number[] = [];
  const look = () => {
    looksAt.push(Date.now());
    events.emit('worker:getJob:start', { worker });
    events.emit('worker:getJob:empty', { worker });
    return true;
  };
  const worker = { nudge: look } as unknown as Worker;
  const looks = workerLooks(POLL_MS, () => Date.now());
  looks.follow(events, ['reconcile']);
  const pass = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 1) t.mock.timers.tick(1);
  };
  // The first look of all is nobody's word.
  look();
  return { events, worker, look, looks, looksAt, pass };
}

suite('a look for a job that found nothing', () => {
  test('is repeated twice by a worker that was told of one, again and again', (t) => {
    const { look, looksAt, pass } = anIdleWorker(t);
    pass(100);
    look();
    pass(100);
    look();
    pass(POLL_MS - 1);
    assert.deepEqual(looksAt, [0, 100, 105, 125, 200, 205, 225]);
  });

  test('is not repeated when it was a poll', (t) => {
    const { look, looksAt, pass } = anIdleWorker(t);
    pass(POLL_MS);
    look();
    pass(POLL_MS - 1);
    assert.deepEqual(looksAt, [0, POLL_MS]);
  });

  test('is not repeated when a job was found to be due', (t) => {
    const { looks, looksAt, pass } = anIdleWorker(t);
    pass(100);
    looks.lookNow(['reconcile', 'report']);
    pass(POLL_MS - 1);
    assert.deepEqual(looksAt, [0, 100]);
  });

  test('is not asked for from a worker that has a job, does other tasks, or was let go', (t) => {
    const { events, worker, looks, look, looksAt } = anIdleWorker(t);
    events.emit('job:start', { worker });
    looks.lookNow(['reconcile']);
    assert.deepEqual(looksAt, [0]);
    look();
    looks.lookNow(['report']);
    events.emit('worker:release', { worker });
    looks.lookNow(['reconcile']);
    assert.deepEqual(looksAt, [0, 0]);
  });

  test('is not repeated after a job', (t) => {
    const { events, worker, look, looksAt, pass } = anIdleWorker(t);
    pass(100);
    events.emit('job:complete', { worker });
    look();
    pass(POLL_MS - 1);
    assert.deepEqual(looksAt, [0, 100]);
  });

  test('is not repeated by a worker that was let go, before, during or after the look', (t) => {
    const { events, worker, look, looksAt, pass } = anIdleWorker(t);
    pass(100);
    look();
    events.emit('worker:release', { worker });
    pass(5);
    events.emit('worker:getJob:empty', { worker });
    pass(25);
    look();
    pass(25);
    assert.deepEqual(looksAt, [0, 100, 130]);
  });
});
