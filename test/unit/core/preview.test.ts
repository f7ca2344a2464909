import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { phaseOf } from '../../../webhook/core/preview.ts';
import { previewDetailView } from '../../../webhook/core/preview-view.ts';
import { statusPageOf } from '../../../webhook/dashboard/status-page.ts';
import { reportFrom } from '../../../webhook/core/report.ts';
import { aFailure, ago, aLiveInstance, anInstance, aPreview, commit } from '../../support/a-preview.ts';

const A = commit('a');
const B = commit('b');
const URLS = ['https://shop-42.example.com'];
const wantA = { presence: 'present', revision: A } as const;
const live = aLiveInstance(1, A);

test('R14: live is said only of the wanted commit, after it answered, and when the route shows it', () => {
  assert.equal(phaseOf(aPreview({ wanted: wantA, instances: [live], answering: live.name })).name, 'live');
  assert.notEqual(phaseOf(aPreview({ wanted: wantA, instances: [live], answering: null })).name, 'live');
  const silent = anInstance(1, A);
  assert.notEqual(phaseOf(aPreview({ wanted: wantA, instances: [silent], answering: silent.name })).name, 'live');
  const old = aLiveInstance(1, B);
  assert.equal(phaseOf(aPreview({ wanted: wantA, instances: [old], answering: old.name })).name, 'updating');
});

test('a failure is said of the commit that failed, and not of the next one', () => {
  const failed = aPreview({ wanted: wantA, failure: aFailure() });
  assert.equal(phaseOf(failed).name, 'failed');
  assert.equal(phaseOf({ ...failed, wanted: { presence: 'present', revision: B } }).name, 'waiting');
  assert.equal(phaseOf({ ...failed, retryAskedAt: ago(1) }).name, 'waiting');
  assert.equal(phaseOf({ ...failed, failure: aFailure({ retry: 'later', nextAttemptAt: ago(0) }) }).name, 'retrying');
});

test('a live preview stays live while GitHub is away', () => {
  const away = aFailure({ code: 'GITHUB_UNREACHABLE', step: 'look', sha: null, retry: 'later' });
  assert.equal(
    phaseOf(aPreview({ wanted: wantA, instances: [live], answering: live.name, failure: away })).name,
    'live',
  );
});

test('the report: one status, the URL only when live, the reason and the last lines of a failure', () => {
  const up = reportFrom(aPreview({ wanted: wantA, instances: [live], answering: live.name }), URLS);
  assert.match(up.comment, /is live at https:\/\/shop-42\.example\.com/);
  assert.match(up.comment, new RegExp(A.sha));
  assert.deepEqual(up.status, {
    sha: A.sha,
    state: 'success',
    description: 'live',
    url: URLS[0],
    isUnderWay: false,
  });
  const down = reportFrom(aPreview({ wanted: wantA, failure: aFailure() }), URLS);
  assert.match(down.comment, /SETUP_FAILED/);
  assert.match(down.comment, /missing script: build/);
  assert.equal(down.status?.state, 'failure');
  assert.equal(down.status?.url, null);
});

test('R14: after a rollback neither the comment nor the status takes the head for what the URL shows', () => {
  const wanted = { ...wantA, rolledBackFrom: B.sha };
  const rolledBack = reportFrom(aPreview({ wanted, instances: [live], answering: live.name }), URLS);
  assert.match(rolledBack.comment, /is live at https:\/\/shop-42\.example\.com \(rolled back\)\n/);
  assert.match(rolledBack.comment, new RegExp(`Commit ${A.sha}`));
  assert.match(rolledBack.comment, new RegExp(`rolled it back from ${B.sha}`));
  const description = `rolled back: the URL shows ${A.sha.slice(0, 8)}`;
  assert.deepEqual(rolledBack.status, { sha: B.sha, state: 'pending', description, url: null, isUnderWay: false });
});

test('R14: the head of what was destroyed is not called live', () => {
  const destroyed = aPreview({
    wanted: { presence: 'absent', reason: 'destroyed-by-operator' },
    hold: { kind: 'destroyed', whileHead: A.sha },
  });
  assert.deepEqual(reportFrom(destroyed, URLS).status, {
    sha: A.sha,
    state: 'pending',
    description: 'destroyed by an operator',
    url: null,
    isUnderWay: false,
  });
});

test('a stranger’s pull request is told that nothing of it ran', () => {
  const { comment } = reportFrom(aPreview({ wanted: { presence: 'refused', revision: A, reason: 'fork' } }), URLS);
  assert.match(comment, /not run: it comes from another repository/);
  assert.match(comment, /Nothing of it was fetched or run/);
});

test('a draft, which may have been run before it was one, is not told that it never was', () => {
  const { comment } = reportFrom(aPreview({ wanted: { presence: 'refused', revision: A, reason: 'draft' } }), URLS);
  assert.match(comment, /not run: it is a draft/);
  assert.match(comment, /Nothing of it is kept or run while it is a draft\./);
  assert.doesNotMatch(comment, /was fetched or run/);
});

test('what was assumed is told of the commit that is spoken of, also when it fails', () => {
  const assumed = ['There is no preview.toml, so this is a guess:', 'setup runs `npm run build`'];
  const failed = anInstance(2, B, { assumptions: assumed, failedAt: ago(1) });
  const wanted = { presence: 'present', revision: B } as const;
  const failure = aFailure({ sha: B.sha });
  const down = aPreview({ wanted, instances: [live, failed], answering: live.name, failure });
  const told = 'so this is a guess:\n- setup runs `npm run build`';
  assert.ok(reportFrom(down, URLS).comment.includes(told));
  assert.deepEqual(previewDetailView(down, String).assumptions, assumed);
  assert.match(statusPageOf(down).html, /so this is a guess: setup runs <code>npm run build<\/code>/);

  const guessed = { ...live, assumptions: assumed };
  assert.ok(
    reportFrom(aPreview({ wanted: wantA, instances: [guessed], answering: live.name }), URLS).comment.includes(told),
  );
  const said = aPreview({
    wanted,
    instances: [guessed, { ...failed, assumptions: [] }],
    answering: live.name,
    failure,
  });
  assert.ok(!reportFrom(said, URLS).comment.includes(told), 'what still answers was guessed, what failed was not');
  assert.deepEqual(previewDetailView(said, String).assumptions, []);
});

test('text of others is no markup in our comment', () => {
  const detail = 'line one\n```\n@everyone <img src=x> ````';
  const { comment } = reportFrom(
    aPreview({ wanted: wantA, failure: aFailure({ message: '@admin **bold** <b>', detail }) }),
    URLS,
  );
  assert.doesNotMatch(comment, /@admin/);
  assert.doesNotMatch(comment, /(?<!\\)\*\*bold/);
  const fence = /(`{4,})text\n/.exec(comment)?.[1] ?? '';
  assert.ok(fence.length > 4, 'the fence is longer than any run of backticks inside');
});

/** Text of others at its worst: long lines, runs of what means something in Markdown, halves of characters. */
const hostile = fc
  .array(fc.tuple(fc.constantFrom('`', '~', 'x', '*', '@', '🚢', '\ud83d', '<!-- ', '\n', '\r'), fc.nat(5_000)), {
    maxLength: 60,
  })
  .map((parts) => parts.map(([text, times]) => text.repeat(times)).join(''));

/** What stands outside of code blocks, as Markdown reads it; null where a block is never closed. */
function outsideOfBlocks(markdown: string): string | null {
  let fence: string | null = null;
  const outside: string[] = [];
  for (const line of markdown.split(/\r\n|\r|\n/)) {
    const run = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line);
    if (fence === null && run !== null) fence = run[1] ?? '';
    else if (fence === null) outside.push(line);
    else if (run?.[1]?.startsWith(fence) === true && run[2]?.trim() === '') fence = null;
  }
  return fence === null ? outside.join('\n') : null;
}

test('whatever others said, the comment fits, its code block is closed and its hint can be read', () => {
  const hint = 'Correct it and push.';
  fc.assert(
    fc.property(hostile, hostile, fc.boolean(), (message, detail, isLive) => {
      const failure = aFailure({ message, detail, hint, sha: B.sha });
      const shown = isLive ? { instances: [live], answering: live.name } : {};
      const { comment } = reportFrom(
        aPreview({ wanted: { presence: 'present', revision: B }, failure, ...shown }),
        URLS,
      );
      assert.ok(comment.length < 32_768 && comment.isWellFormed(), `${comment.length} characters`);
      const outside = outsideOfBlocks(comment);
      assert.ok(outside !== null, 'every block is closed');
      assert.ok(outside.split('\n').includes(hint), 'the hint stands outside of them');
      assert.equal(outside.includes('still shows'), isLive);
    }),
  );
  const endless = aPreview({ wanted: wantA, failure: aFailure({ hint: 'x'.repeat(1e6), detail: '`'.repeat(1e6) }) });
  assert.ok(reportFrom(endless, URLS).comment.length < 32_768);
});

test('of long lines the comment shows the beginnings, of all of them', () => {
  const detail = Array.from({ length: 25 }, (_, index) => `line ${index} ${'x'.repeat(4_000)}`).join('\n');
  const { comment } = reportFrom(aPreview({ wanted: wantA, failure: aFailure({ detail }) }), URLS);
  for (let index = 0; index < 25; index += 1) assert.match(comment, new RegExp(`^line ${index} x+…$`, 'm'));
});

test('a comment is not begun for what is already closing or not known yet', () => {
  assert.equal(reportFrom(aPreview(), URLS).mayCreate, false);
  assert.equal(reportFrom(aPreview({ wanted: { presence: 'absent', reason: 'closed' } }), URLS).mayCreate, false);
});
