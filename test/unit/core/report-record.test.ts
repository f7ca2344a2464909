import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepositoryName } from '../../../webhook/core/pull-request.ts';
import { leftOverComment, nothingTold, whileTelling, type ListedComment } from '../../../webhook/core/report-record.ts';
import { GONE_REPORT } from '../../../webhook/core/report.ts';

const SIGNS = { login: 'berth-bot', marker: '<!-- berth:1 -->', anyMarker: '<!-- berth:' };
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
  const nothing = nothingTold({ repositoryId: 1, subject: { kind: 'pull', number: 1 } }, 'acme/shop' as RepositoryName);
  const report = { ...GONE_REPORT, mayCreate: true };
  const begun = whileTelling(nothing, report, SINCE);
  assert.equal(begun.creatingSince, SINCE);
  assert.equal(whileTelling(begun, report, at(9)).creatingSince, SINCE, 'since the first try');
  assert.equal(whileTelling(begun, GONE_REPORT, at(9)).creatingSince, SINCE, 'also when none is to be made any more');
  assert.equal(whileTelling(nothing, GONE_REPORT, at(9)).creatingSince, null);
  assert.equal(whileTelling({ ...nothing, commentId: 1 }, report, at(9)).creatingSince, null);
});
