import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainPlan, planFor, rollbackInstance, type ObservedWorld } from '../../../webhook/core/plan.ts';
import type { DatabaseName } from '../../../webhook/core/names.ts';
import type { Desired } from '../../../webhook/core/policy.ts';
import type { PreviewRecord } from '../../../webhook/core/preview.ts';
import { aFailure, ago, aLiveInstance, aManifest, anInstance, aPreview, commit, NOW } from '../../support/a-preview.ts';

const A = commit('a');
const B = commit('b');

const present = (revision = A): Desired => ({
  kind: 'present',
  repository: aPreview().repository,
  revision,
});

/** The world as the records say it is: everything placed exists, what was healthy runs. */
function worldOf(record: PreviewRecord, more: Partial<ObservedWorld> = {}): ObservedWorld {
  const instances = record.instances
    .filter((each) => each.sourcePlacedAt !== null)
    .map((each) => [each.name, { running: each.name === record.answering }] as const);
  return {
    instances: new Map(instances),
    route: record.answering ?? undefined,
    hasDatabase: record.database !== null,
    ...more,
  };
}

function stepsOf(desired: Desired, record: PreviewRecord, world = worldOf(record)): string[][] {
  return planFor(desired, record, world, NOW).stages.map((stage) =>
    stage.map((step) =>
      'instance' in step && step.instance !== undefined ? `${step.name} ${step.instance}` : step.name,
    ),
  );
}

test('a new pull request: every step, those that do not need each other side by side', () => {
  assert.deepEqual(stepsOf(present(), aPreview({ slug: null })), [
    ['claim-names'],
    ['open-route', 'fetch-source', 'create-instance'],
    ['read-manifest'],
    ['place-source', 'ensure-database', 'build-system'],
    ['set-up'],
    ['start'],
    ['check-health'],
    ['switch-route'],
  ]);
});

test('live at the wanted commit: nothing to do', () => {
  const record = aPreview({ instances: [aLiveInstance(1, A)], answering: aLiveInstance(1, A).name });
  assert.deepEqual(stepsOf(present(), record), []);
});

test('live with a database that is closed or gone: it is looked after last, and what answers goes on', () => {
  const old = aLiveInstance(1, B, { retiredAt: ago(100) });
  const live = aLiveInstance(2, A, { manifest: aManifest({ database: 'host' }) });
  const database = { name: 'preview_shop_42' as DatabaseName, password: 'x' };
  const record = aPreview({ instances: [old, live], answering: live.name, database });
  const instances = new Map([old, live].map(({ name }) => [name, { running: true }]));
  assert.deepEqual(stepsOf(present(), record, worldOf(record, { instances })), [['retire p1']]);
  assert.deepEqual(stepsOf(present(), record, worldOf(record, { instances, hasDatabase: false })), [
    ['retire p1'],
    ['ensure-database p2'],
  ]);
});

test('killed anywhere in a bring-up: it goes on with what is missing', () => {
  const placed = anInstance(1, A, { manifest: aManifest(), sourcePlacedAt: ago(5_000) });
  const record = aPreview({ instances: [placed] });
  const world = { ...worldOf(record), route: null };
  assert.deepEqual(stepsOf(present(), record, world), [
    ['build-system'],
    ['set-up'],
    ['start'],
    ['check-health'],
    ['switch-route'],
  ]);
  const inSetUp = aPreview({ instances: [{ ...placed, sourcePlacedAt: null }] });
  assert.deepEqual(stepsOf(present(), inSetUp, world).slice(0, 3), [
    ['fetch-source'],
    ['place-source', 'build-system'],
    ['set-up'],
  ]);
  const setUp = aPreview({ instances: [{ ...placed, setUpAt: ago(4_000) }] });
  assert.deepEqual(stepsOf(present(), setUp, world), [['start'], ['check-health'], ['switch-route']]);
});

test('after a reboot the preview starts again without a setup', () => {
  const record = aPreview({ instances: [aLiveInstance(1, A)], answering: aLiveInstance(1, A).name });
  const world = { ...worldOf(record), instances: new Map([[aLiveInstance(1, A).name, { running: false }]]) };
  assert.deepEqual(stepsOf(present(), record, world), [['start'], ['check-health']]);
});

test('a push: the new instance comes up beside the old one, which is retired only in the next plan', () => {
  const old = aLiveInstance(1, A);
  const record = aPreview({ instances: [old], answering: old.name });
  assert.deepEqual(stepsOf(present(B), record).flat(), [
    'fetch-source',
    'create-instance',
    'read-manifest',
    'place-source',
    'ensure-database',
    'build-system',
    'set-up',
    'start',
    'check-health',
    'switch-route',
  ]);
  const updated = aPreview({
    instances: [{ ...old, retiredAt: ago(100) }, aLiveInstance(2, B)],
    answering: aLiveInstance(2, B).name,
  });
  const world = worldOf(updated, {
    instances: new Map([
      [old.name, { running: true }],
      [aLiveInstance(2, B).name, { running: true }],
    ]),
  });
  assert.deepEqual(stepsOf(present(B), updated, world), [['retire p1']]);
});

test('only the instance replaced last is kept for a rollback', () => {
  const record = aPreview({
    instances: [
      aLiveInstance(1, commit('1'), { retiredAt: ago(3_000) }),
      aLiveInstance(2, A, { retiredAt: ago(2_000) }),
      aLiveInstance(3, B),
    ],
    answering: aLiveInstance(3, B).name,
  });
  assert.equal(rollbackInstance(record)?.name, 'p2');
  assert.deepEqual(stepsOf(present(B), record), [['discard p1']]);
});

test('a rollback starts the kept instance and switches; nothing is built', () => {
  const kept = aLiveInstance(1, A, { retiredAt: ago(2_000) });
  const record = aPreview({ instances: [kept, aLiveInstance(2, B)], answering: aLiveInstance(2, B).name });
  assert.deepEqual(stepsOf(present(A), record), [['start'], ['check-health'], ['switch-route']]);
});

test('a commit that failed for good is not tried again, and what answered before goes on', () => {
  const record = aPreview({
    instances: [aLiveInstance(1, B), anInstance(2, A, { failedAt: ago(10_000), sourcePlacedAt: ago(11_000) })],
    answering: aLiveInstance(1, B).name,
    failure: aFailure(),
  });
  assert.deepEqual(stepsOf(present(), record), []);
  const running = worldOf(record, {
    instances: new Map([
      [aLiveInstance(1, B).name, { running: true }],
      [anInstance(2, A).name, { running: true }],
    ]),
  });
  assert.deepEqual(stepsOf(present(), record, running), [['retire p2']], 'what still runs of it is stopped');
});

test('asked to try again: a fresh instance, and the failed one goes', () => {
  const record = aPreview({
    instances: [anInstance(2, A, { failedAt: ago(10_000), sourcePlacedAt: ago(11_000) })],
    failure: aFailure(),
    retryAskedAt: ago(100),
  });
  const steps = stepsOf(present(), record).flat();
  assert.ok(steps.includes('create-instance') && steps.includes('discard p2'), steps.join(', '));
});

test('a failure that may pass goes on with the same instance', () => {
  const record = aPreview({
    instances: [anInstance(1, A, { manifest: aManifest(), sourcePlacedAt: ago(5_000) })],
    failure: aFailure({ code: 'DATABASE_FAILED', retry: 'later' }),
  });
  assert.ok(!stepsOf(present(), record).flat().includes('create-instance'));
});

test('an instance whose removal has begun is never used again', () => {
  const begun = aLiveInstance(1, A, { discardedAt: ago(100) });
  const record = aPreview({ instances: [begun], answering: begun.name });
  const steps = stepsOf(present(), record).flat();
  assert.deepEqual(steps.slice(0, 2), ['open-route p1', 'discard p1']);
  assert.ok(steps.includes('create-instance'));
});

test('what is left of an instance of the wanted commit goes, also when the one that replaced it has failed', () => {
  const halfRemoved = aLiveInstance(1, A, { routedAt: null, discardedAt: ago(5_000) });
  const failed = anInstance(2, A, { manifest: aManifest(), sourcePlacedAt: ago(2_000), failedAt: ago(100) });
  const record = aPreview({
    instances: [halfRemoved, failed],
    failure: aFailure({ code: 'UNHEALTHY', sha: A.sha, retry: 'on-new-input' }),
  });
  assert.deepEqual(stepsOf(present(), record), [['discard p1']]);
});

test('closed: route, instances, database, record, in this order', () => {
  const record = aPreview({
    instances: [aLiveInstance(1, A), aLiveInstance(2, B)],
    answering: aLiveInstance(2, B).name,
    database: { name: 'preview_shop_42' as never, password: 'x' },
  });
  assert.deepEqual(stepsOf({ kind: 'absent', reason: 'closed' }, record), [
    ['remove-route'],
    ['discard p1', 'discard p2'],
    ['remove-database'],
    ['forget'],
  ]);
});

test('destroyed by an operator while open: everything goes but the record, which knows why', () => {
  const record = aPreview({ instances: [aLiveInstance(1, A)], answering: aLiveInstance(1, A).name });
  const steps = stepsOf({ kind: 'absent', reason: 'destroyed-by-operator' }, record).flat();
  assert.deepEqual(steps, ['remove-route', 'discard p1']);
});

test('when GitHub cannot be asked, what answers is kept alive and nothing else is touched', () => {
  const record = aPreview({ instances: [aLiveInstance(1, A), anInstance(2, B)], answering: aLiveInstance(1, A).name });
  assert.deepEqual(stepsOf({ kind: 'unknown' }, record), []);
  const stopped = worldOf(record, {
    instances: new Map([[aLiveInstance(1, A).name, { running: false }]]),
    route: undefined,
  });
  assert.deepEqual(stepsOf({ kind: 'unknown' }, record, stopped).flat(), [
    'start p1',
    'check-health p1',
    'switch-route p1',
  ]);
});

test('R12: a burst of pushes is waited out, one push alone is not', () => {
  const young = aLiveInstance(1, A, { createdAt: ago(500), generation: 1 });
  const burst = aPreview({ instances: [young], answering: young.name, generation: 3, requestedAt: ago(100) });
  assert.equal(planFor(present(B), burst, worldOf(burst), NOW).settleMs, 900);
  assert.deepEqual(stepsOf(present(B), burst), []);
  const quiet = { ...burst, requestedAt: ago(1_100) };
  assert.equal(planFor(present(B), quiet, worldOf(quiet), NOW).settleMs, null);
  const single = aPreview({
    instances: [{ ...young, createdAt: ago(8_000) }],
    answering: young.name,
    generation: 2,
    requestedAt: NOW,
  });
  assert.equal(planFor(present(B), single, worldOf(single), NOW).settleMs, null);
  const endless = aPreview({
    instances: [{ ...young, createdAt: ago(15_000) }],
    answering: young.name,
    generation: 99,
    requestedAt: NOW,
  });
  assert.equal(
    planFor(present(B), endless, worldOf(endless), NOW).settleMs,
    null,
    'somebody who pushes without end gets a build now and then',
  );
});

test('a plan is told in words', () => {
  const record = aPreview({ instances: [aLiveInstance(1, A)], answering: aLiveInstance(1, A).name });
  assert.deepEqual(explainPlan(planFor({ kind: 'absent', reason: 'closed' }, record, worldOf(record), NOW)), [
    'remove-route: the pull request is closed',
    'discard p1: the pull request is closed',
    'forget: the pull request is closed',
  ]);
});
