/** Bad input, the row "GitHub's answers": what our side of the API makes of each. Against the stand-in GitHub, over real HTTP. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { connectToGitHub } from '../../../../webhook/adapters/github/github-client.ts';
import { createPullRequests } from '../../../../webhook/adapters/github/pull-requests.ts';
import { OperatorError, type ErrorCode } from '../../../../webhook/core/errors.ts';
import { parseRepositoryName, type PreviewKey, type RepositoryName } from '../../../../webhook/core/pull-request.ts';
import { primaryRateLimit, secondaryRateLimit, type Fault } from '../../../support/fake-github/faults.ts';
import type { FakePullRequest } from '../../../support/fake-github/pull-request.ts';
import type { FakeRepository } from '../../../support/fake-github/repository.ts';
import { startFakeGitHub, type FakeGitHub } from '../../../support/fake-github.ts';
import { silentLog } from '../../../support/silent-log.ts';

const signal = () => AbortSignal.timeout(20_000);
const named = (name: string) => parseRepositoryName(name) as RepositoryName;

interface Scene {
  readonly github: FakeGitHub;
  readonly shop: FakeRepository;
  readonly pull: FakePullRequest;
  readonly key: PreviewKey;
  readonly pulls: ReturnType<typeof createPullRequests>;
}

/** A repository with one open pull request, and our adapter looking at it. */
async function withScene(story: (scene: Scene) => Promise<void>): Promise<void> {
  const github = await startFakeGitHub();
  try {
    const shop = await github.addRepository('acme/shop', { 'index.html': 'one' });
    await shop.commit('feature', { 'index.html': 'two' });
    const pull = await shop.openPullRequest({ head: 'feature', author: 'Mona' });
    const client = connectToGitHub({
      apiUrl: github.apiUrl,
      identity: { kind: 'token', token: github.token },
      log: silentLog,
      requestTimeoutMs: 300,
    });
    const key: PreviewKey = { repositoryId: shop.id, subject: { kind: 'pull', number: pull.number } };
    await story({ github, shop, pull, key, pulls: createPullRequests(client) });
  } finally {
    await github.close();
  }
}

async function errorOf(work: Promise<unknown>): Promise<OperatorError> {
  const outcome = await work.then(
    () => null,
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof OperatorError, `no OperatorError: ${String(outcome)}`);
  return outcome;
}

suite('observe', () => {
  test('an open pull request', () =>
    withScene(async ({ pulls, key, pull, shop }) => {
      assert.deepEqual(await pulls.observe(key, named('acme/shop'), signal()), {
        state: 'open',
        repository: 'acme/shop',
        revision: { sha: pull.head, ref: 'feature' },
        headRepositoryId: shop.id,
        author: 'mona',
        draft: false,
      });
    }));

  test('closed, merged, reopened, draft', () =>
    withScene(async ({ pulls, key, pull }) => {
      const observe = () => pulls.observe(key, named('acme/shop'), signal());
      await pull.close();
      assert.deepEqual(await observe(), { state: 'closed', repository: 'acme/shop' });
      await pull.reopen();
      await pull.convertToDraft();
      const seen = await observe();
      assert.ok(seen.state === 'open' && seen.draft);
      await pull.close({ merge: true });
      assert.equal((await observe()).state, 'closed');
    }));

  test('from a fork, and after the fork was deleted', () =>
    withScene(async ({ pulls, shop, key }) => {
      const fork = await shop.fork('stranger');
      await fork.commit('theirs', { 'index.html': 'theirs' });
      const theirs = await shop.openPullRequest({ head: 'theirs', from: fork });
      const theirKey: PreviewKey = { ...key, subject: { kind: 'pull', number: theirs.number } };
      const headIdOf = async () => {
        const seen = await pulls.observe(theirKey, named('acme/shop'), signal());
        return seen.state === 'open' ? seen.headRepositoryId : undefined;
      };
      assert.equal(await headIdOf(), fork.id);
      await fork.delete();
      assert.equal(await headIdOf(), null);
    }));

  test('404 for what was there yesterday is missing, never closed', () =>
    withScene(async ({ pulls, key, shop }) => {
      shop.hidden = true;
      assert.deepEqual(await pulls.observe(key, named('acme/shop'), signal()), { state: 'missing' });
    }));

  test('a renamed and a transferred repository are followed, and its present name is told', () =>
    withScene(async ({ pulls, key, shop }) => {
      await shop.rename('acme/store');
      const seen = await pulls.observe(key, named('acme/shop'), signal());
      assert.ok(seen.state === 'open' && seen.repository === 'acme/store');
      await shop.rename('other/store');
      const moved = await pulls.observe(key, named('acme/shop'), signal());
      assert.ok(moved.state === 'open' && moved.repository === 'other/store');
    }));

  test('another repository that took the old name is not ours', () =>
    withScene(async ({ github, pulls, key, shop }) => {
      await shop.rename('acme/store');
      const impostor = await github.addRepository('acme/shop', { 'index.html': 'evil' });
      await impostor.commit('evil', { 'index.html': 'evil' });
      await impostor.openPullRequest({ head: 'evil' });
      assert.deepEqual(await pulls.observe(key, named('acme/shop'), signal()), { state: 'missing' });
    }));

  test('a stale answer is an answer like any other', () =>
    withScene(async ({ github, pulls, key, pull }) => {
      const before = pull.head;
      await pull.push({ 'index.html': 'three' });
      github.faults.add({ on: 'pulls/get', fault: { kind: 'stale', changes: 1 } });
      const seen = await pulls.observe(key, named('acme/shop'), signal());
      assert.ok(seen.state === 'open' && seen.revision.sha === before);
    }));

  test('a branch; one that is gone is missing', () =>
    withScene(async ({ pulls, shop }) => {
      const key: PreviewKey = { repositoryId: shop.id, subject: { kind: 'branch', name: 'feature' } };
      const seen = await pulls.observe(key, named('acme/shop'), signal());
      assert.ok(seen.state === 'open' && seen.revision.sha === shop.head('feature') && seen.author === '');
      await shop.deleteBranch('feature');
      assert.deepEqual(await pulls.observe(key, named('acme/shop'), signal()), { state: 'missing' });
    }));
});

suite('an answer that is none', () => {
  const inAnHour = () => new Date(Date.now() + 3_600_000);
  const cases: readonly (readonly [string, () => Fault, ErrorCode, ((pauseMs: number | undefined) => boolean)?])[] = [
    ['500', () => ({ kind: 'status', status: 500 }), 'GITHUB_UNREACHABLE'],
    ['502', () => ({ kind: 'status', status: 502 }), 'GITHUB_UNREACHABLE'],
    [
      '503 with Retry-After',
      () => ({ kind: 'status', status: 503, headers: { 'retry-after': '9' } }),
      'GITHUB_UNREACHABLE',
      (ms) => ms === 9_000,
    ],
    ['a page for people', () => ({ kind: 'html' }), 'GITHUB_UNREACHABLE'],
    ['JSON that is cut off', () => ({ kind: 'truncated' }), 'GITHUB_UNREACHABLE'],
    ['a reset connection', () => ({ kind: 'reset' }), 'GITHUB_UNREACHABLE'],
    ['silence', () => ({ kind: 'hang' }), 'GITHUB_UNREACHABLE'],
    ['401', () => ({ kind: 'status', status: 401 }), 'GITHUB_FORBIDDEN'],
    [
      '403',
      () => ({ kind: 'status', status: 403, message: 'Resource not accessible by personal access token' }),
      'GITHUB_FORBIDDEN',
    ],
    ['451', () => ({ kind: 'status', status: 451 }), 'GITHUB_FORBIDDEN'],
    [
      'the primary limit',
      () => primaryRateLimit(inAnHour()),
      'GITHUB_RATE_LIMITED',
      (ms) => ms !== undefined && ms > 3_500_000 && ms <= 3_600_000,
    ],
    [
      'the secondary limit as 403 with Retry-After',
      () => secondaryRateLimit(403, 42),
      'GITHUB_RATE_LIMITED',
      (ms) => ms === 42_000,
    ],
    ['the secondary limit as 403 without', () => secondaryRateLimit(403), 'GITHUB_RATE_LIMITED', (ms) => ms === 60_000],
    [
      'the secondary limit as 429 with Retry-After',
      () => secondaryRateLimit(429, 7),
      'GITHUB_RATE_LIMITED',
      (ms) => ms === 7_000,
    ],
    ['the secondary limit as 429 without', () => secondaryRateLimit(429), 'GITHUB_RATE_LIMITED', (ms) => ms === 60_000],
    [
      'a limit until next year',
      () => secondaryRateLimit(429, 31_536_000),
      'GITHUB_RATE_LIMITED',
      (ms) => ms === 3_600_000,
    ],
  ];
  for (const [name, fault, code, isRightPause] of cases) {
    test(`${name}: ${code}, at once, and well again afterwards`, () =>
      withScene(async ({ github, pulls, key }) => {
        github.faults.add({ on: 'pulls/get', times: Infinity, fault: fault() });
        const startedAt = performance.now();
        const error = await errorOf(pulls.observe(key, named('acme/shop'), signal()));
        assert.equal(error.code, code);
        assert.ok(isRightPause === undefined || isRightPause(error.retryAfterMs), `pause ${error.retryAfterMs}`);
        assert.ok(performance.now() - startedAt < 10_000, 'it does not sit out the pause inside the job');
        assert.ok(!`${error.message} ${error.detail}`.includes(github.token));
        github.faults.clear();
        assert.equal((await pulls.observe(key, named('acme/shop'), signal())).state, 'open');
      }));
  }

  test('one hiccup of a read is not even noticed', () =>
    withScene(async ({ github, pulls, key }) => {
      github.faults.add({ on: 'pulls/get', fault: { kind: 'status', status: 502 } });
      assert.equal((await pulls.observe(key, named('acme/shop'), signal())).state, 'open');
      assert.equal(github.count('pulls/get'), 2);
    }));

  test('no connection at all', async () => {
    const github = await startFakeGitHub();
    const { apiUrl, token } = github;
    await github.close();
    const client = connectToGitHub({ apiUrl, identity: { kind: 'token', token }, log: silentLog });
    const key: PreviewKey = { repositoryId: 1, subject: { kind: 'pull', number: 1 } };
    const error = await errorOf(createPullRequests(client).observe(key, named('acme/shop'), signal()));
    assert.equal(error.code, 'GITHUB_UNREACHABLE');
  });

  test('the signal ends a request that hangs, with its own reason', () =>
    withScene(async ({ github, pulls, key }) => {
      github.faults.add({ on: 'pulls/get', fault: { kind: 'hang' } });
      const stop = new AbortController();
      const observing = pulls.observe(key, named('acme/shop'), stop.signal);
      stop.abort(new OperatorError('SUPERSEDED', 'A newer commit is wanted.'));
      assert.equal((await errorOf(observing)).code, 'SUPERSEDED');
    }));

  test('a commit id that cannot be one is refused', () =>
    withScene(async ({ pulls, key, pull }) => {
      pull.history.push({ ...pull.state, head: { ...pull.state.head, sha: '--upload-pack=x' } });
      assert.equal((await errorOf(pulls.observe(key, named('acme/shop'), signal()))).code, 'GITHUB_UNREACHABLE');
    }));
});

suite('lists and look-ups', () => {
  test('all open pull requests, over several pages', () =>
    withScene(async ({ pulls, shop, pull, key }) => {
      for (let at = 0; at < 119; at += 1) await shop.openPullRequest({ head: 'feature' });
      await pull.close();
      const listed = await pulls.listOpen(named('acme/shop'), signal());
      assert.equal(listed.length, 119);
      assert.ok(listed.every((each) => each.key.repositoryId === key.repositoryId && each.repository === 'acme/shop'));
    }));

  test('a list whose pages go round in circles ends in an error, not in a loop', () =>
    withScene(async ({ github, pulls }) => {
      github.faults.add({ on: 'pulls/list', times: Infinity, fault: { kind: 'page-loop' } });
      const error = await errorOf(pulls.listOpen(named('acme/shop'), signal()));
      assert.equal(error.code, 'GITHUB_UNREACHABLE');
      assert.equal(github.count('pulls/list'), 2);
    }));

  test('find: the pull request of a branch, else the branch, else nothing', () =>
    withScene(async ({ pulls, shop, pull }) => {
      const find = (branch: string) => pulls.find(named('acme/shop'), branch, signal());
      assert.deepEqual(await find('feature'), {
        repositoryId: shop.id,
        subject: { kind: 'pull', number: pull.number },
      });
      assert.deepEqual(await find('main'), { repositoryId: shop.id, subject: { kind: 'branch', name: 'main' } });
      assert.equal(await find('nope'), null);
      await shop.commit('topic/ünïcode#1', { 'a.txt': 'a' });
      assert.deepEqual((await find('topic/ünïcode#1'))?.subject, { kind: 'branch', name: 'topic/ünïcode#1' });
    }));

  test('find: the pull request of a fork’s branch of that name is not the branch’s', () =>
    withScene(async ({ pulls, shop }) => {
      const fork = await shop.fork('stranger');
      await fork.commit('main', { 'index.html': 'theirs' });
      await shop.openPullRequest({ head: 'main', from: fork });
      assert.deepEqual((await pulls.find(named('acme/shop'), 'main', signal()))?.subject, {
        kind: 'branch',
        name: 'main',
      });
    }));

  test('find in a repository that GitHub hides from us', () =>
    withScene(async ({ pulls }) => {
      assert.equal((await errorOf(pulls.find(named('acme/secret'), 'main', signal()))).code, 'SUBJECT_NOT_FOUND');
    }));
});

suite('signing in', () => {
  test('an App: its token is made, used, and made anew when it is no longer good', () =>
    withScene(async ({ github, key }) => {
      const app = github.addApp('berth');
      const client = connectToGitHub({ apiUrl: github.apiUrl, identity: { kind: 'app', ...app }, log: silentLog });
      const pulls = createPullRequests(client);
      assert.equal((await pulls.observe(key, named('acme/shop'), signal())).state, 'open');
      await pulls.observe(key, named('acme/shop'), signal());
      assert.equal(github.count('apps/create-installation-access-token'), 1);
      assert.match(await client.token(signal()), /^ghs_/);
      assert.equal(await client.login(signal()), 'berth[bot]');
    }));

  test('a token that was revoked is GITHUB_FORBIDDEN', () =>
    withScene(async ({ github, pulls, key }) => {
      github.tokens.revoke(github.token);
      assert.equal((await errorOf(pulls.observe(key, named('acme/shop'), signal()))).code, 'GITHUB_FORBIDDEN');
    }));
});
