import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { suite, test, type TestContext } from 'node:test';
import type { Worker } from 'graphile-worker';
import { repeatLooks } from '../../../../webhook/adapters/postgres/repeat-looks.ts';

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
  repeatLooks(events, POLL_MS, () => Date.now());
  const pass = (ms: number) => t.mock.timers.tick(ms);
  return { events, worker, look, looksAt, pass };
}

suite('a look for a job that found nothing', () => {
  test('is repeated twice when there was a reason for it', (t) => {
    const { look, looksAt, pass } = anIdleWorker(t);
    look();
    for (let ms = 0; ms < POLL_MS - 30; ms += 1) pass(1);
    assert.deepEqual(looksAt, [0, 5, 25]);
  });

  test('is not repeated by a worker that was let go, before or during the look', (t) => {
    const { events, worker, look, looksAt, pass } = anIdleWorker(t);
    look();
    events.emit('worker:release', { worker });
    pass(5);
    events.emit('worker:getJob:empty', { worker });
    pass(20);
    assert.deepEqual(looksAt, [0]);
  });

  test('is not repeated when it was a poll', (t) => {
    const { look, looksAt, pass } = anIdleWorker(t);
    look();
    pass(5);
    pass(20);
    pass(POLL_MS);
    look();
    pass(POLL_MS - 1);
    assert.deepEqual(looksAt, [0, 5, 25, 275]);
  });

  test('is repeated after a poll when something new comes in', (t) => {
    const { look, looksAt, pass } = anIdleWorker(t);
    look();
    pass(5);
    pass(20);
    pass(POLL_MS);
    look();
    pass(100);
    look();
    pass(5);
    pass(20);
    assert.deepEqual(looksAt, [0, 5, 25, 275, 375, 380, 400]);
  });

  test('is repeated after a job, whose queue may just not have been free', (t) => {
    const { events, worker, look, looksAt, pass } = anIdleWorker(t);
    look();
    pass(5);
    pass(20);
    pass(10_000);
    events.emit('job:complete', { worker });
    look();
    pass(5);
    pass(20);
    assert.deepEqual(looksAt, [0, 5, 25, 10_025, 10_030, 10_050]);
  });
});
