import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { suite, test } from 'node:test';
import { Client } from 'pg';
import { INTAKE_QUEUE_MAX } from '../../../../webhook/core/limits.ts';
import type { PreviewKey, PullRequestEvent, RepositoryName } from '../../../../webhook/core/pull-request.ts';
import { pullKey } from '../../../contracts/store-under-test.ts';
import { onServer } from '../../../support/on-server.ts';
import { openTestDatabase } from '../../../support/test-database.ts';
import { startTestServer } from '../../../support/test-server.ts';
import { openTestState, type TestState } from '../../../support/test-state.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const REPOSITORY = 'acme/shop' as RepositoryName;

function event(key: PreviewKey, action = 'synchronize', repository = REPOSITORY): PullRequestEvent {
  return { key, repository, action };
}

async function deliveries(state: TestState): Promise<number> {
  const [row] = await onServer(state.url, 'select count(*)::int as count from berth.deliveries');
  return row?.['count'] as number;
}

suite('Intake', () => {
  test('a delivery is recorded, raises the generation and asks for a look; its repetition does nothing', async () => {
    await using state = await openTestState();
    const id = randomUUID();
    assert.equal(await state.intake.accept(id, event(pullKey(1))), 'accepted');
    assert.equal(await state.intake.accept(id.toUpperCase(), event(pullKey(1))), 'duplicate');
    assert.equal(await state.store.generation(pullKey(1)), 1);
    assert.equal(
      await state.intake.accept(randomUUID(), event(pullKey(1), 'edited', 'acme/renamed' as RepositoryName)),
      'accepted',
    );
    const record = await state.store.load(pullKey(1));
    assert.equal(record?.generation, 2);
    assert.equal(record?.repository, 'acme/renamed');
    assert.deepEqual(
      (await state.waitingJobs()).map((job) => job.name),
      ['reconcile:81/pull/1'],
    );
    const rows = await onServer(
      state.url,
      'select event, action, repository_id, subject from berth.deliveries order by received_at',
    );
    assert.deepEqual(rows, [
      { event: 'pull_request', action: 'synchronize', repository_id: '81', subject: 'pull/1' },
      { event: 'pull_request', action: 'edited', repository_id: '81', subject: 'pull/1' },
    ]);
  });

  test('a closed pull request that we know nothing of is recorded and needs no look', async () => {
    await using state = await openTestState();
    assert.equal(await state.intake.accept(randomUUID(), event(pullKey(1), 'closed')), 'accepted');
    assert.equal(await state.store.load(pullKey(1)), null);
    assert.deepEqual(await state.waitingJobs(), []);
    assert.equal(await deliveries(state), 1);

    await state.intake.accept(randomUUID(), event(pullKey(1), 'opened'));
    await state.intake.accept(randomUUID(), event(pullKey(1), 'closed'));
    assert.equal(await state.store.generation(pullKey(1)), 2);
  });

  test('a thousand deliveries at once are each answered by what became of them', async () => {
    await using state = await openTestState();
    const ids = Array.from({ length: 500 }, () => randomUUID());
    const answers = await Promise.all(
      [...ids, ...ids].map((id, index) => state.intake.accept(id, event(pullKey((index % 50) + 1)))),
    );
    assert.equal(answers.filter((answer) => answer === 'accepted').length, 500);
    assert.equal(await deliveries(state), 500);
    const records = await state.store.list();
    assert.equal(records.length, 50);
    assert.equal((await state.waitingJobs()).length, 50);
  });

  test('opened and closed in one batch, in either order, leave a look to be taken', async () => {
    await using state = await openTestState();
    // The first is committed alone; the others wait for it and share the next commit.
    await Promise.all([
      state.intake.accept(randomUUID(), event(pullKey(9))),
      state.intake.accept(randomUUID(), event(pullKey(1), 'closed')),
      state.intake.accept(randomUUID(), event(pullKey(1), 'opened')),
      state.intake.accept(randomUUID(), event(pullKey(2), 'opened')),
      state.intake.accept(randomUUID(), event(pullKey(2), 'closed')),
    ]);
    assert.deepEqual(
      (await state.waitingJobs()).map((job) => job.name),
      ['reconcile:81/pull/1', 'reconcile:81/pull/2', 'reconcile:81/pull/9'],
    );
  });

  test('a job that begins while a delivery is being committed is followed by another look', async () => {
    await using state = await openTestState();
    await state.intake.accept(randomUUID(), event(pullKey(1)));
    const others = new Client({ connectionString: state.url });
    await others.connect();
    try {
      // Somebody is busy with the preview's row, so that the delivery has begun and cannot end.
      await others.query('begin');
      await others.query('select from berth.previews for update');
      const accepted = state.intake.accept(randomUUID(), event(pullKey(1)));
      await waitUntil('the delivery to wait for the row', async () => {
        const [row] = await onServer(
          state.url,
          "select count(*)::int as count from pg_stat_activity where application_name = 'berth intake' and wait_event_type = 'Lock'",
        );
        return row?.['count'] === 1;
      });
      const generations: (number | null)[] = [];
      const firstMayEnd = Promise.withResolvers<void>();
      const reconcile = async (key: PreviewKey) => {
        generations.push(await state.store.generation(key));
        await firstMayEnd.promise;
      };
      const nothing = () => Promise.resolve();
      await state.worker.start({ reconcile, report: nothing, sweep: nothing }, { concurrency: 2 });
      await waitUntil('the first look', () => generations.length === 1);
      await others.query('commit');
      assert.equal(await accepted, 'accepted');
      firstMayEnd.resolve();
      await waitUntil('the second look', () => generations.length === 2);
      assert.deepEqual(generations, [1, 2]);
    } finally {
      await others.end();
    }
  });

  test('a delivery that PostgreSQL refuses fails alone', async () => {
    await using state = await openTestState();
    const outcomes = await Promise.allSettled([
      state.intake.accept(randomUUID(), event(pullKey(1))),
      state.intake.accept(randomUUID(), event(pullKey(2))),
      state.intake.accept(randomUUID(), event(pullKey(3), 'a NUL \u0000 in the action')),
      state.intake.accept('not a uuid', event(pullKey(4))),
      state.intake.accept(randomUUID(), event(pullKey(5))),
    ]);
    assert.deepEqual(
      outcomes.map((outcome) => outcome.status),
      ['fulfilled', 'fulfilled', 'rejected', 'rejected', 'fulfilled'],
    );
    assert.equal(await deliveries(state), 3);
  });

  test('more than may wait is refused at once, and what waited is answered', async () => {
    await using state = await openTestState();
    const outcomes = await Promise.allSettled(
      Array.from({ length: INTAKE_QUEUE_MAX + 500 }, (_, index) =>
        state.intake.accept(randomUUID(), event(pullKey((index % 10) + 1))),
      ),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    assert.ok(refused.length > 0 && refused.length <= 500);
    assert.ok(refused.every((outcome) => outcome.reason.code === 'STATE_UNAVAILABLE'));
    assert.equal(await deliveries(state), outcomes.length - refused.length);
  });

  test('while PostgreSQL is away deliveries are refused, and accepted again when it is back', async () => {
    const server = await startTestServer();
    try {
      await using database = await openTestDatabase({ server: server.url });
      await using state = await openTestState({ database });
      await state.intake.accept(randomUUID(), event(pullKey(1)));
      await server.restart(async () => {
        await assert.rejects(state.intake.accept(randomUUID(), event(pullKey(2))), { code: 'STATE_UNAVAILABLE' });
        await assert.rejects(state.store.load(pullKey(1)), { code: 'STATE_UNAVAILABLE' });
        assert.equal(await state.isReady(), false);
      });
      await waitUntil('readiness', () => state.isReady());
      assert.equal(await state.intake.accept(randomUUID(), event(pullKey(2))), 'accepted');
      assert.equal(await deliveries(state), 2);
    } finally {
      await server.stop();
    }
  });
});
