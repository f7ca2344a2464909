/** One comment per pull request and one status per commit, whatever happens in between. Against the stand-in GitHub. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { connectToGitHub } from '../../../../webhook/adapters/github/github-client.ts';
import { createReports } from '../../../../webhook/adapters/github/reports.ts';
import { OperatorError } from '../../../../webhook/core/errors.ts';
import {
  parseRepositoryName,
  parseSha,
  type PreviewKey,
  type RepositoryName,
  type Sha,
} from '../../../../webhook/core/pull-request.ts';
import { nothingTold, unfinishedIn, whileTelling, type ReportRecord } from '../../../../webhook/core/report-record.ts';
import { goneReport, type Report } from '../../../../webhook/core/report.ts';
import type { FakePullRequest } from '../../../support/fake-github/pull-request.ts';
import type { FakeRepository } from '../../../support/fake-github/repository.ts';
import { startFakeGitHub, type FakeGitHub } from '../../../support/fake-github.ts';
import { silentLog } from '../../../support/silent-log.ts';

interface Scene {
  readonly github: FakeGitHub;
  readonly shop: FakeRepository;
  readonly pull: FakePullRequest;
  /** Nothing was ever told. */
  readonly nothing: ReportRecord;
  /** Tells the pull request, from what was told before. */
  readonly tell: (before: ReportRecord, comment: string, state?: 'pending' | 'success') => Promise<ReportRecord>;
  /** Says that the preview is no more. */
  readonly tellGone: (before: ReportRecord) => Promise<ReportRecord>;
}

async function withScene(story: (scene: Scene) => Promise<void>): Promise<void> {
  const github = await startFakeGitHub();
  try {
    const shop = await github.addRepository('acme/shop', { 'index.html': 'one' });
    await shop.commit('feature', { 'index.html': 'two' });
    const pull = await shop.openPullRequest({ head: 'feature' });
    const identity = { kind: 'token', token: github.token } as const;
    const client = connectToGitHub({
      apiUrl: github.apiUrl,
      identity,
      log: silentLog,
      requestTimeoutMs: 5_000,
      paceWrites: false,
    });
    const reports = createReports(client, { markerSecret: 'a secret', log: silentLog });
    const key: PreviewKey = { repositoryId: shop.id, subject: { kind: 'pull', number: pull.number } };
    const nothing = nothingTold(key, parseRepositoryName('acme/shop') as RepositoryName);
    const tell: Scene['tell'] = (before, comment, state = 'pending') => {
      const status = {
        sha: parseSha(pull.head) as Sha,
        state,
        description: 'as it is',
        url: null,
        isUnderWay: state === 'pending',
      };
      const report: Report = { comment, mayCreate: true, isLastWord: false, status };
      return reports.ensure(whileTelling(before, report, new Date()), report, AbortSignal.timeout(20_000));
    };
    const tellGone: Scene['tellGone'] = (before) =>
      reports.ensure(before, goneReport(unfinishedIn(before)), AbortSignal.timeout(20_000));
    await story({ github, shop, pull, nothing, tell, tellGone });
  } finally {
    await github.close();
  }
}

const textOf = (pull: FakePullRequest) => pull.comments.map(({ body }) => body.split('\n\n<!-- berth:')[0]);

suite('the comment', () => {
  test('is made once and edited in place; the same words are not sent twice', () =>
    withScene(async ({ github, pull, nothing, tell }) => {
      const first = await tell(nothing, 'starting');
      const same = await tell(first, 'starting');
      assert.deepEqual(same, first);
      assert.equal(github.count('issues/update-comment'), 0);
      const second = await tell(same, 'live');
      assert.equal(second.commentId, first.commentId);
      assert.deepEqual(textOf(pull), ['live']);
      assert.equal(github.count('issues/create-comment'), 1);
    }));

  test('is found again when its id was never stored, also on a later page', () =>
    withScene(async ({ pull, nothing, tell }) => {
      for (let at = 0; at < 120; at += 1) pull.comment('mona', `remark ${at}`);
      await tell(nothing, 'starting');
      await tell(nothing, 'live');
      const ours = pull.comments.filter(({ author }) => author.login === 'berth-bot');
      assert.equal(ours.length, 1);
      assert.match(ours[0]?.body ?? '', /^live\n/);
    }));

  test('is made once when GitHub’s answer to its creation is lost', () =>
    withScene(async ({ github, pull, nothing, tell }) => {
      for (const kind of ['reset', 'truncated', 'html'] as const) {
        github.faults.add({ on: 'issues/create-comment', fault: { kind } });
        await tell(nothing, 'starting').catch((error: unknown) => {
          assert.ok(error instanceof OperatorError && error.code === 'GITHUB_UNREACHABLE');
        });
      }
      const told = await tell(nothing, 'live');
      assert.deepEqual(textOf(pull), ['live']);
      assert.equal(told.commentId, pull.comments[0]?.id);
      assert.equal(github.count('issues/create-comment'), 1);
    }));

  test('is found when its id was never stored and somebody has replaced its text, marker and all', () =>
    withScene(async ({ pull, nothing, tell }) => {
      const begun = { ...nothing, creatingSince: new Date() };
      await tell(begun, 'starting');
      pull.comment('berth-bot', 'Written with the same account, and never edited.');
      const [ours] = pull.comments;
      await pull.editComment('mona', ours?.id ?? 0, 'Somebody wrote something else here.');
      const told = await tell(begun, 'live');
      assert.equal(told.commentId, ours?.id);
      assert.deepEqual(textOf(pull), ['live', 'Written with the same account, and never edited.']);
    }));

  test('is not taken for ours when a stranger copied its text, and the stranger’s stays as it is', () =>
    withScene(async ({ pull, nothing, tell }) => {
      const first = await tell(nothing, 'starting');
      const copied = pull.comments[0]?.body ?? '';
      pull.base.comments.length = 0;
      pull.comment('stranger', copied);
      await tell(nothing, 'live');
      assert.deepEqual(
        pull.comments.map(({ author, body }) => [author.login, body.split('\n')[0]]),
        [
          ['stranger', 'starting'],
          ['berth-bot', 'live'],
        ],
      );
      assert.notEqual(pull.comments[0]?.id, first.commentId);
    }));

  test('is made again, once, when somebody deleted it', () =>
    withScene(async ({ github, pull, nothing, tell }) => {
      const first = await tell(nothing, 'starting');
      pull.base.comments.length = 0;
      const gone = await tell(first, 'live');
      assert.deepEqual([gone.commentId, gone.commentHash, pull.comments.length], [null, null, 0], 'first it is said');
      const second = await tell(gone, 'live');
      await tell(second, 'live');
      assert.deepEqual(textOf(pull), ['live']);
      assert.equal(github.count('issues/create-comment'), 2);
    }));

  test('stays the only one when GitHub says, of a comment that it lists, that there is none', () =>
    withScene(async ({ github, pull, nothing, tell }) => {
      const first = await tell(nothing, 'starting');
      github.faults.add({ on: 'issues/update-comment', times: 2, fault: { kind: 'status', status: 404 } });
      const unsure = await tell(first, 'live');
      assert.deepEqual([unsure.commentId, unsure.commentHash], [null, null]);
      await assert.rejects(tell(unsure, 'live'), { code: 'SUBJECT_NOT_FOUND', retry: 'later' });
      const told = await tell(unsure, 'live');
      assert.equal(told.commentId, first.commentId);
      assert.deepEqual(textOf(pull), ['live']);
      assert.equal(github.count('issues/create-comment'), 1);
    }));

  test('of a preview that is gone is not made, but one that was left is brought up to date', () =>
    withScene(async ({ github, pull, nothing, tell, tellGone }) => {
      await tellGone(nothing);
      assert.equal(pull.comments.length, 0);
      await tell(nothing, 'starting');
      await tellGone(nothing);
      assert.deepEqual(textOf(pull), [goneReport(null).comment]);
      assert.equal(github.count('issues/create-comment'), 1);
    }));

  test('is the last word once its preview is gone: read before it is believed, for nobody looks later', () =>
    withScene(async ({ github, pull, nothing, tell, tellGone }) => {
      const gone = await tellGone(await tell(nothing, 'starting'));
      await tellGone(gone);
      assert.equal(github.count('issues/get-comment'), 1);
      assert.equal(github.count('issues/update-comment'), 1);
      const [comment] = pull.base.comments;
      if (comment !== undefined) comment.body = 'Somebody wrote something else here.';
      await tellGone(gone);
      assert.deepEqual(textOf(pull), [goneReport(null).comment]);
    }));

  test('follows the repository to its new name', () =>
    withScene(async ({ shop, pull, nothing, tell }) => {
      const first = await tell(nothing, 'starting');
      await shop.rename('acme/store');
      const second = await tell(first, 'live');
      assert.equal(second.commentId, first.commentId);
      assert.deepEqual(textOf(pull), ['live']);
    }));

  test('is left out where the conversation is locked; the status is set all the same', () =>
    withScene(async ({ github, pull, nothing, tell }) => {
      await pull.lock();
      const told = await tell(nothing, 'starting');
      assert.equal(told.commentId, null);
      assert.equal(pull.statuses.length, 1);
      assert.equal(github.count('issues/create-comment'), 1);
    }));

  test('of one pull request is not that of another', () =>
    withScene(async ({ shop, pull, nothing, tell }) => {
      await tell(nothing, 'starting');
      const other = await shop.openPullRequest({ head: 'feature' });
      await tell({ ...nothing, key: { ...nothing.key, subject: { kind: 'pull', number: other.number } } }, 'other');
      assert.deepEqual([textOf(pull), textOf(other)], [['starting'], ['other']]);
    }));
});

suite('the commit status', () => {
  test('is set once per commit and state', () =>
    withScene(async ({ pull, nothing, tell }) => {
      let told = await tell(nothing, 'a');
      told = await tell(told, 'b');
      told = await tell(told, 'c', 'success');
      await tell(told, 'c', 'success');
      assert.deepEqual(
        pull.statuses.map(({ state, context }) => [state, context]),
        [
          ['pending', 'berth/preview'],
          ['success', 'berth/preview'],
        ],
      );
      await pull.push({ 'index.html': 'three' });
      await tell(told, 'c', 'success');
      assert.equal(pull.statuses.length, 3);
      assert.equal(pull.statuses[2]?.sha, pull.head);
    }));

  test('that says that work is under way has an end when the preview is gone, any other stays', () =>
    withScene(async ({ github, pull, nothing, tell, tellGone }) => {
      const gone = await tellGone(await tell(nothing, 'starting'));
      const { sha, state, description } = pull.statuses[1] ?? {};
      assert.deepEqual([sha, state, description], [pull.head, 'error', 'the preview is removed']);
      await tellGone(gone);
      await tellGone(await tell(gone, 'live', 'success'));
      assert.deepEqual(
        pull.statuses.map((status) => status.state),
        ['pending', 'error', 'success'],
      );
      assert.equal(github.count('repos/create-commit-status'), 3);
    }));

  test('that GitHub does not take for this commit is not asked for again', () =>
    withScene(async ({ github, nothing, tell }) => {
      github.faults.add({ on: 'repos/create-commit-status', fault: { kind: 'status', status: 422 } });
      const told = await tell(nothing, 'a');
      await tell(told, 'a');
      assert.equal(github.count('repos/create-commit-status'), 1);
    }));
});

test('when GitHub is away nothing is said to have been told', () =>
  withScene(async ({ github, pull, nothing, tell }) => {
    github.faults.add({ times: Infinity, fault: { kind: 'status', status: 503 } });
    await assert.rejects(tell(nothing, 'starting'), { code: 'GITHUB_UNREACHABLE' });
    github.faults.clear();
    await tell(nothing, 'starting');
    assert.deepEqual(textOf(pull), ['starting']);
  }));
