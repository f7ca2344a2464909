import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepositoryName, Sha } from '../../../webhook/core/pull-request.ts';
import {
  leftOverComment,
  nothingTold,
  statusHashOf,
  unfinishedIn,
  whileTelling,
  type ListedComment,
} from '../../../webhook/core/report-record.ts';
import { goneReport, type Report } from '../../../webhook/core/report.ts';

const SIGNS = { login: 'berth-bot', marker: '<!-- berth:1 -->', anyMarker: '<!-- berth:' };
const GONE = goneReport(null);
const nothing = nothingTold({ repositoryId: 1, subject: { kind: 'pull', number: 1 } }, 'acme/shop' as RepositoryName);
const SINCE = new Date('2026-11-28T10:00:00.400Z');
const at = (seconds: number) => new Date(Date.UTC(2026, 10, 28, 10, 0, seconds));

const replaced: ListedComment = {
  id: 1,
  author: 'berth-bot',
  body: 'Somebody wrote something else here.',
  createdAt: at(1),
  updatedAt: at(2),
};

const taken = (comment: ListedComment, since: Date | null = SINCE) => leftOverComment([comment], SIGNS, since) !== null;

test('a comment of our account with our marker is ours, whenever it was made', () => {
  const marked = { ...replaced, body: `live\n\n${SIGNS.marker}`, createdAt: at(-500_000), updatedAt: at(-500_000) };
  assert.ok(taken(marked));
  assert.ok(taken(marked, null));
  assert.ok(!taken({ ...marked, author: 'stranger' }));
  assert.ok(!taken({ ...marked, author: null }));
});

test('without its marker it is ours only when it was made while we tried to make one, and edited since', () => {
  assert.ok(taken(replaced));
  assert.ok(taken({ ...replaced, createdAt: at(0) }), 'GitHub tells whole seconds');
  assert.ok(!taken(replaced, null), 'there can be none whose id we never learned');
  assert.ok(!taken({ ...replaced, author: 'mona' }));
  assert.ok(!taken({ ...replaced, updatedAt: replaced.createdAt }), 'a person may comment with the same account');
  assert.ok(!taken({ ...replaced, createdAt: at(-60) }), 'it was there before');
  assert.ok(!taken({ ...replaced, body: '<!-- berth:2 -->' }), 'another operator’s, with the same account');
});

test('a marked comment goes before one that may be ours', () => {
  const marked = { ...replaced, id: 2, body: SIGNS.marker };
  assert.equal(leftOverComment([replaced, marked], SIGNS, SINCE)?.id, 2);
});

test('from before a comment is made until its id is known, it is on record that there may be one', () => {
  const report = { ...GONE, mayCreate: true };
  const begun = whileTelling(nothing, report, SINCE);
  assert.equal(begun.creatingSince, SINCE);
  assert.equal(whileTelling(begun, report, at(9)).creatingSince, SINCE, 'since the first try');
  assert.equal(whileTelling(begun, GONE, at(9)).creatingSince, SINCE, 'also when none is to be made any more');
  assert.equal(whileTelling(nothing, GONE, at(9)).creatingSince, null);
  assert.equal(whileTelling({ ...nothing, commentId: 1 }, report, at(9)).creatingSince, null);
});

test('a commit that was last said to be under way is known, also when the saying was cut off', () => {
  const sha = 'a'.repeat(40) as Sha;
  const status = { sha, state: 'pending', description: 'starting the services', url: null, isUnderWay: true } as const;
  const live = { sha, state: 'success', description: 'live', url: 'https://a.test', isUnderWay: false } as const;
  const report: Report = { ...GONE, status };
  const told = (each: typeof status | typeof live) => ({ ...nothing, status: { sha, hash: statusHashOf(each) } });
  assert.equal(unfinishedIn(nothing), null);
  assert.equal(unfinishedIn(told(status)), sha);
  assert.equal(unfinishedIn(told(live)), null);
  assert.equal(unfinishedIn(whileTelling(nothing, report, SINCE)), sha, 'GitHub may have it');
  assert.equal(unfinishedIn(whileTelling(told(status), goneReport(sha), SINCE)), sha, 'it may not have the end yet');
  assert.deepEqual(whileTelling(told(live), { ...GONE, status: live }, SINCE).status, told(live).status);
});
