import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StepsSeen, type StepRow } from '../../../../webhook/commands/preview/steps-seen.ts';
import type { AskedView } from '../../../../webhook/core/preview-view.ts';
import { previewDetailView, type FailureView, type PreviewDetailView } from '../../../../webhook/core/preview-view.ts';
import type { PreviewRecord, StepName } from '../../../../webhook/core/preview.ts';
import { aFailure, aLiveInstance, anInstance, aPreview, commit } from '../../../support/a-preview.ts';

const A = commit('a');
const B = commit('b');
const view = (record: PreviewRecord): PreviewDetailView =>
  previewDetailView(record, (label) => `https://${label}.test`);
const doing = (step: StepName) => ({ doing: { step, since: new Date(0) } });
const told = (rows: readonly StepRow[]) => rows.map(({ step, state, ms }) => [step, state, ms] as const);
const asks = (record: PreviewRecord, wantedCommit: string | null): AskedView => ({
  isDone: false,
  preview: view(record),
  wantedCommit,
});

const timings = {
  'open-route': 1,
  'fetch-source': 200,
  'place-source': 30,
  'set-up': 900,
  start: 4,
  'check-health': 50,
};
const live = aPreview({
  wanted: { presence: 'present', revision: A },
  instances: [aLiveInstance(1, A, { timings })],
  answering: aLiveInstance(1, A).name,
});

void test('a bring-up: what was seen ticks off in order; what was over before it was seen is told at the end, with the operator’s own times', () => {
  const before = aPreview({ instances: [] });
  const seen = new StepsSeen(asks(before, A.sha), 0);
  const coming = { ...before, instances: [anInstance(1, A)] };
  assert.deepEqual(told(seen.see(view(before), 10)), [['look', 'under way', null]]);
  assert.deepEqual(told(seen.see(view({ ...coming, ...doing('set-up') }), 300)), [
    ['look', 'done', 300],
    ['set-up', 'under way', null],
  ]);
  // An app without a database of its own, on a host that builds nothing: there are no times for either.
  assert.deepEqual(
    told(seen.end({ kind: 'done' }, view(live), 1_000))
      .slice(1)
      .map(([step, state, ms]) => `${step} ${state} ${ms}`),
    ['fetch-source done 200', 'place-source done 30', 'set-up done 900', 'start done 4', 'check-health done 50'],
  );
});

void test('a removal or a rollback shows nothing of how the old instance came up', () => {
  const removal = new StepsSeen(asks(live, null), 0);
  assert.deepEqual(told(removal.see(view({ ...live, ...doing('set-up') }), 5)), [['look', 'under way', null]]);
  assert.deepEqual(told(removal.see(view({ ...live, ...doing('discard') }), 10)), [
    ['look', 'done', 10],
    ['discard', 'under way', null],
  ]);
  assert.deepEqual(told(removal.end({ kind: 'done' }, view(live), 40)), [
    ['look', 'done', 40],
    ['discard', 'done', 30],
  ]);

  const both = aPreview({
    wanted: { presence: 'present', revision: A },
    instances: [aLiveInstance(1, A, { timings, retiredAt: new Date(0) }), aLiveInstance(2, B, { timings })],
    answering: aLiveInstance(2, B).name,
  });
  const rollback = new StepsSeen(asks(both, A.sha), 0);
  assert.deepEqual(told(rollback.see(view({ ...both, ...doing('check-health') }), 10)), [
    ['look', 'done', 10],
    ['check-health', 'under way', null],
  ]);
  assert.deepEqual(
    told(rollback.end({ kind: 'done' }, view(both), 30)).map(([step]) => step),
    ['look', 'check-health'],
  );
});

void test('an operator that goes away: what was under way is not said to be done, nor is what would have followed', () => {
  const before = aPreview({ instances: [] });
  const seen = new StepsSeen(asks(before, A.sha), 0);
  const coming = view({ ...before, instances: [anInstance(1, A)], ...doing('set-up') });
  seen.see(coming, 10);
  const rows = seen.end({ kind: 'failed', message: 'it does not answer', failure: null }, coming, 20);
  assert.deepEqual(told(rows), [
    ['look', 'done', 20],
    ['set-up', 'not done', null],
  ]);
  assert.equal(rows[1]?.note, 'it does not answer');
});

void test('a failure stands at the step that failed, whichever it is', () => {
  const before = aPreview({ instances: [] });
  for (const step of ['read-manifest', 'claim-names', 'switch-route'] as const) {
    const seen = new StepsSeen(asks(before, A.sha), 0);
    const last = view({
      ...before,
      failure: aFailure({ step, message: 'no' }),
      instances: [anInstance(1, A, { timings })],
    });
    const rows = seen.end({ kind: 'failed', message: 'X: no', failure: last.failure }, last, 20);
    assert.deepEqual(
      rows.filter((row) => row.state === 'not done').map((row) => [row.step, row.note]),
      [[step, 'no']],
    );
    assert.ok(rows.some((row) => row.step === 'fetch-source' && row.ms === 200));
  }
});

void test('a step that is tried again stays under way and says why; a failure from before the wish is none of it', () => {
  const before = aPreview({ instances: [] });
  const seen = new StepsSeen(asks(before, A.sha), 0);
  const failed = (at: Date) =>
    view({
      ...before,
      wanted: { presence: 'present', revision: A },
      failure: aFailure({ step: 'fetch-source', retry: 'later', message: 'git is away', at }),
    });
  assert.deepEqual(told(seen.see(failed(new Date(before.requestedAt.getTime() - 1)), 5)), [
    ['look', 'under way', null],
  ]);
  const rows = seen.see(failed(before.requestedAt), 10);
  assert.deepEqual(
    rows.map(({ step, state, note }) => [step, state, note]),
    [
      ['look', 'done', null],
      ['fetch-source', 'under way', 'git is away'],
    ],
  );
});

void test('another try does not take back what was done, and where that fails is told on what is still under way', () => {
  const before = aPreview({ instances: [] });
  const seen = new StepsSeen(asks(before, A.sha), 0);
  const at = (step: StepName) => view({ ...before, ...doing(step) });
  seen.see(at('fetch-source'), 10);
  seen.see(at('set-up'), 20);
  const again = seen.see(at('look'), 30);
  assert.deepEqual(
    again.map(({ step, state }) => `${step} ${state}`),
    ['look done', 'fetch-source done', 'set-up under way'],
  );
  const failure = { ...view({ ...before, failure: aFailure({ step: 'fetch-source' }) }).failure } as FailureView;
  const rows = seen.end({ kind: 'failed', message: failure.message, failure }, view(before), 40);
  assert.deepEqual([rows.at(-1)?.step, rows.at(-1)?.state, rows.at(-1)?.note], ['set-up', 'not done', failure.message]);
});
