import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desiredFrom, isAllowedRepository, isHoldOver, type Policy } from '../../../webhook/core/policy.ts';
import type { Hold } from '../../../webhook/core/preview.ts';
import type { ObservedSubject, PreviewKey, RepositoryName } from '../../../webhook/core/pull-request.ts';
import { commit } from '../../support/a-preview.ts';

const POLICY: Policy = { repositories: ['acme/shop', 'Widgets/*'], drafts: true };
const KEY: PreviewKey = { repositoryId: 81, subject: { kind: 'pull', number: 42 } };
const SHOP = 'acme/shop' as RepositoryName;
const SUBJECT = { key: KEY, repository: SHOP, hold: null };
const A = commit('a');
const B = commit('b');

const open = (more: Partial<Extract<ObservedSubject, { state: 'open' }>> = {}): ObservedSubject => ({
  state: 'open',
  repository: SHOP,
  revision: A,
  headRepositoryId: 81,
  author: 'member',
  draft: false,
  ...more,
});

test('a repository is on the list by its name or its owner, without regard to case, and not by a prefix', () => {
  for (const name of ['acme/shop', 'ACME/Shop', 'widgets/anything'])
    assert.ok(isAllowedRepository(POLICY, name as RepositoryName), name);
  for (const name of ['acme/shop2', 'acme/sho', 'widgets2/x', 'x/shop'])
    assert.ok(!isAllowedRepository(POLICY, name as RepositoryName), name);
});

test('an open pull request of a member is present at its head', () => {
  assert.deepEqual(desiredFrom(POLICY, SUBJECT, open()), {
    kind: 'present',
    repository: SHOP,
    revision: A,
  });
});

test('whose code may not run: another repository’s, a deleted one’s, Dependabot’s', () => {
  const reasonOf = (more: object, policy = POLICY) => {
    const desired = desiredFrom(policy, SUBJECT, open(more));
    return desired.kind === 'refused' ? desired.reason : desired.kind;
  };
  assert.equal(reasonOf({ headRepositoryId: 99 }), 'fork');
  assert.equal(reasonOf({ headRepositoryId: null }), 'fork-deleted');
  assert.equal(reasonOf({ author: 'dependabot[bot]' }), 'dependabot');
  assert.equal(reasonOf({ draft: true }), 'present');
  assert.equal(reasonOf({ draft: true }, { ...POLICY, drafts: false }), 'draft');
});

test('nothing is destroyed because GitHub did not answer or did not know', () => {
  assert.deepEqual(desiredFrom(POLICY, SUBJECT, null), { kind: 'unknown' });
  assert.deepEqual(desiredFrom(POLICY, SUBJECT, { state: 'missing' }), { kind: 'unknown' });
});

test('what ends a preview: closed, or off the list, also by a rename', () => {
  assert.deepEqual(desiredFrom(POLICY, SUBJECT, { state: 'closed', repository: SHOP }), {
    kind: 'absent',
    reason: 'closed',
  });
  const gone = { kind: 'absent', reason: 'repository-not-allowed' };
  assert.deepEqual(desiredFrom({ ...POLICY, repositories: ['x/y'] }, SUBJECT, null), gone);
  assert.deepEqual(desiredFrom(POLICY, SUBJECT, open({ repository: 'elsewhere/shop' as RepositoryName })), gone);
});

test('an operator’s word stands until the head moves on', () => {
  const destroyed = { ...SUBJECT, hold: { kind: 'destroyed', whileHead: A.sha } as const };
  assert.deepEqual(desiredFrom(POLICY, destroyed, open()), { kind: 'absent', reason: 'destroyed-by-operator' });
  assert.equal(desiredFrom(POLICY, destroyed, open({ revision: B })).kind, 'present');
  const pinned = { ...SUBJECT, hold: { kind: 'pinned', revision: B, whileHead: A.sha } as const };
  assert.deepEqual(desiredFrom(POLICY, pinned, open()), {
    kind: 'present',
    repository: SHOP,
    revision: B,
    rolledBackFrom: A.sha,
  });
  assert.deepEqual(desiredFrom(POLICY, pinned, open({ revision: commit('c') })), {
    kind: 'present',
    repository: SHOP,
    revision: commit('c'),
  });
});

test('a rollback to the head itself is none', () => {
  const pinned = { ...SUBJECT, hold: { kind: 'pinned', revision: A, whileHead: A.sha } as const };
  assert.deepEqual(desiredFrom(POLICY, pinned, open()), { kind: 'present', repository: SHOP, revision: A });
});

test('an operator’s word is over when another head was seen, and only then', () => {
  const destroyed = { kind: 'destroyed', whileHead: A.sha } as const;
  const pinned = { kind: 'pinned', revision: B, whileHead: A.sha } as const;
  const isOver = (hold: Hold, observed: ObservedSubject | null) =>
    isHoldOver(hold, desiredFrom(POLICY, { ...SUBJECT, hold }, observed));
  for (const hold of [destroyed, pinned]) {
    assert.ok(!isOver(hold, open()), hold.kind);
    assert.ok(!isOver(hold, open({ headRepositoryId: 99 })), `${hold.kind}, refused`);
    assert.ok(!isOver(hold, null), `${hold.kind}, GitHub away`);
    assert.ok(isOver(hold, open({ revision: commit('c') })), `${hold.kind}, pushed`);
    assert.ok(isOver(hold, open({ revision: commit('c'), headRepositoryId: 99 })), `${hold.kind}, pushed and refused`);
  }
  assert.ok(isOver(pinned, open({ revision: B })), 'also when the head went back to what is shown');
});

test('a rollback does not let a stranger’s code run', () => {
  const pinned = { ...SUBJECT, hold: { kind: 'pinned', revision: B, whileHead: A.sha } as const };
  assert.equal(desiredFrom(POLICY, pinned, open({ headRepositoryId: 99 })).kind, 'refused');
});
