/** What GitHub did not tell us, or could not, a sweep finds out. Over HTTP from a stand-in GitHub, with real PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ASweepingOperator } from '../support/a-sweeping-operator.ts';
import type { FakePullRequest } from '../support/fake-github/pull-request.ts';

const REFUSAL = '**Preview** – not run: it comes from another repository.';
const firstLines = (pull: FakePullRequest) => pull.comments.map(({ body }) => body.split('\n')[0]);

suite('missed deliveries', () => {
  const answersOf = ({ github }: ASweepingOperator) =>
    github.deliveries.all.map(({ action, redelivery, status }) => `${redelivery ? 'again ' : ''}${action} ${status}`);

  test('are asked for once each, and nothing else is', async () => {
    await using operator = await ASweepingOperator.start({ repositories: ['acme/shop'] });
    const { github } = operator;
    const shop = await operator.addRepository('acme/shop');
    // Somebody else's webhook: what it misses is not ours to ask for.
    const other = { url: `${operator.server.url}/elsewhere`, secret: 'x', contentType: 'json' } as const;
    github.world.addHook({ ...other, repositoryId: shop.id });
    github.deliveries.passage = ({ hook, action }) =>
      hook.url.endsWith('/elsewhere') || action === 'opened' ? 'drop' : 'deliver';
    const pull = await operator.openFromFork(shop);
    await pull.edit({ title: 'Another' });
    const sent = answersOf(operator);
    await operator.sweep();
    assert.deepEqual(answersOf(operator), [...sent, 'again opened 202']);
    await operator.sweep();
    await pull.close();
    await operator.sweep();
    assert.deepEqual(
      answersOf(operator).filter((answer) => answer.startsWith('again')),
      ['again opened 202'],
    );
    assert.deepEqual(
      operator.said.filter((line) => line.startsWith('warn')),
      [],
    );
  });

  test('are found beyond the first page', async () => {
    await using operator = await ASweepingOperator.start({ repositories: ['acme/shop'] });
    const shop = await operator.addRepository('acme/shop');
    operator.github.deliveries.passage = ({ action }) => (action === 'opened' ? 'drop' : 'deliver');
    const pull = await operator.openFromFork(shop);
    for (let at = 0; at < 120; at += 1) await pull.announce('labeled');
    await operator.sweep();
    assert.deepEqual(answersOf(operator).at(-1), 'again opened 202');
    assert.equal(operator.github.count('repos/list-webhook-deliveries'), 2);
  });

  test('are asked for as an App, of the App’s own webhook', async () => {
    await using operator = await ASweepingOperator.start({ repositories: ['acme/shop'], as: 'app' });
    const { github } = operator;
    const shop = await github.addRepository('acme/shop', { 'index.html': 'one' });
    github.deliverTo(operator.hook);
    github.deliveries.passage = () => 'drop';
    await operator.openFromFork(shop);
    await operator.sweep();
    assert.deepEqual(answersOf(operator), ['opened 0', 'again opened 202']);
    assert.equal(github.count('repos/list-webhooks'), 0);
  });

  for (const status of [403, 404]) {
    test(`of webhooks that we may not see (${status}) are left to the sweep, which is said once`, async () => {
      await using operator = await ASweepingOperator.start({ repositories: ['acme/shop'] });
      const { github } = operator;
      const shop = await operator.addRepository('acme/shop');
      github.faults.add({ on: 'repos/list-webhooks', times: Infinity, fault: { kind: 'status', status } });
      github.deliveries.passage = () => 'drop';
      await operator.openFromFork(shop);
      await operator.sweep();
      await operator.sweep();
      assert.deepEqual(await operator.previews(), ['acme/shop#1']);
      const said = operator.said.filter((line) => /missed deliveries/.test(line));
      assert.equal(said.length, 1);
      assert.match(said[0] ?? '', /^info GitHub does not let us ask/);
      // Rights seldom change: it is not asked each time.
      assert.equal(github.count('repos/list-webhooks'), 1);
    });
  }

  test('that could not be asked for are asked for by the next sweep, and the sweep goes on', async () => {
    await using operator = await ASweepingOperator.start({ repositories: ['acme/shop'] });
    const { github } = operator;
    const shop = await operator.addRepository('acme/shop');
    github.deliveries.passage = () => 'drop';
    const pull = await operator.openFromFork(shop);
    const down = { kind: 'status', status: 502 } as const;
    // The first try of a read and its second.
    github.faults.add({ on: 'repos/list-webhook-deliveries', times: 2, fault: down });
    await operator.sweep();
    assert.deepEqual(firstLines(pull), [REFUSAL]);
    assert.equal(operator.said.filter((line) => line.startsWith('warn missed deliveries could not')).length, 1);
    await operator.sweep();
    assert.deepEqual(answersOf(operator), ['opened 0', 'again opened 202']);
  });
});

suite('an owner’s repositories', () => {
  test('are all swept that have something open, and nobody else’s', async () => {
    await using operator = await ASweepingOperator.start({ repositories: ['Acme/*'] });
    const { github } = operator;
    for (const name of ['acme/shop', 'acme/api', 'other/shop', 'acme/hidden', 'acme/quiet']) {
      const repository = await github.addRepository(name, { 'index.html': 'one' });
      if (name !== 'acme/quiet') await operator.openFromFork(repository);
      repository.hidden = name === 'acme/hidden';
    }
    await operator.sweep();
    assert.deepEqual((await operator.previews()).sort(), ['acme/api#1', 'acme/shop#1']);
    assert.equal(github.count('pulls/list'), 2);
  });

  test('are those of the installation for an App', async () => {
    await using operator = await ASweepingOperator.start({ repositories: ['acme/*'], as: 'app' });
    const { github } = operator;
    for (const name of ['acme/shop', 'other/shop']) {
      await operator.openFromFork(await github.addRepository(name, { 'index.html': 'one' }));
    }
    await operator.sweep();
    assert.deepEqual(await operator.previews(), ['acme/shop#1']);
    assert.equal(github.count('apps/list-repos-accessible-to-installation'), 1);
  });

  test('that cannot be listed stop nothing else', async () => {
    await using operator = await ASweepingOperator.start({ repositories: ['acme/*', 'other/shop'] });
    const { github } = operator;
    for (const name of ['acme/shop', 'other/shop']) {
      await operator.openFromFork(await github.addRepository(name, { 'index.html': 'one' }));
    }
    const refused = { kind: 'status', status: 403 } as const;
    github.faults.add({ on: 'repos/list-for-authenticated-user', fault: refused });
    await operator.sweep();
    assert.deepEqual(await operator.previews(), ['other/shop#1']);
    assert.equal(operator.said.filter((line) => line.startsWith('warn the owner’s repositories could not')).length, 1);
    await operator.sweep();
    assert.deepEqual((await operator.previews()).sort(), ['acme/shop#1', 'other/shop#1']);
  });
});

test('a repository that was transferred to somebody who is not on the allow-list is not asked about by its old name', async () => {
  await using operator = await ASweepingOperator.start({ repositories: ['acme/shop'] });
  const { github } = operator;
  const shop = await github.addRepository('acme/shop', { 'index.html': 'one' });
  await operator.openFromFork(shop);
  await shop.rename('stranger/shop');
  await operator.sweep();
  assert.equal(github.count('pulls/list'), 2, 'the redirect and what it leads to');
  assert.equal(github.count('pulls/get'), 0);
  assert.deepEqual(await operator.previews(), []);
});

suite('our comment', () => {
  /** A pull request that was told that it is not run. */
  const told = async () => {
    const operator = await ASweepingOperator.start({ repositories: ['acme/shop'] });
    const pull = await operator.openFromFork(await operator.addRepository('acme/shop'));
    await operator.rest();
    assert.deepEqual(firstLines(pull), [REFUSAL]);
    return { operator, pull, github: operator.github };
  };

  test('that somebody edited is put right by the next sweep, once', async () => {
    const { operator, pull, github } = await told();
    await using _ = operator;
    const [comment] = pull.comments;
    assert.ok(comment);
    const before = comment.body;
    comment.body = 'It is live, click here!';
    const edits = github.count('issues/update-comment');
    // A report alone believes what it wrote.
    await pull.edit({ title: 'Another' });
    await operator.rest();
    assert.equal(github.count('issues/update-comment'), edits);
    await operator.sweep();
    assert.equal(comment.body, before);
    await operator.sweep();
    assert.equal(github.count('issues/update-comment'), edits + 1);
  });

  test('that is edited again and again costs one edit of ours a sweep', async () => {
    const { operator, pull, github } = await told();
    await using _ = operator;
    const edits = github.count('issues/update-comment');
    for (let round = 1; round <= 3; round += 1) {
      for (const comment of pull.comments) comment.body = `round ${round}`;
      await operator.sweep();
      assert.equal(github.count('issues/update-comment'), edits + round);
    }
  });

  test('that somebody deleted is made again by the next sweep, once', async () => {
    const { operator, pull, github } = await told();
    await using _ = operator;
    pull.base.comments.length = 0;
    await operator.sweep();
    await operator.sweep();
    assert.deepEqual(firstLines(pull), [REFUSAL]);
    assert.equal(github.count('issues/create-comment'), 2);
  });

  test('is put right at once when GitHub tells us that somebody edited or deleted it', async () => {
    const { operator, pull, github } = await told();
    await using _ = operator;
    const [comment] = pull.comments;
    assert.ok(comment);
    const answers = () =>
      github.deliveries.all
        .filter(({ event }) => event === 'issue_comment')
        .map(({ answer }) => JSON.parse(answer) as object);
    const edits = github.count('issues/update-comment');
    await pull.editComment('mona', comment.id, 'It is live, click here!');
    await operator.rest();
    await github.deliveries.settled();
    assert.deepEqual(firstLines(pull), [REFUSAL]);
    // The second is our own edit, of which GitHub tells us too.
    const ignored = { status: 'ignored', reason: 'comment_not_ours' };
    assert.deepEqual(answers(), [{ status: 'accepted' }, ignored]);
    // No war: what comes within the minute waits for the sweep.
    await pull.editComment('mona', comment.id, 'again');
    await operator.rest();
    assert.equal(github.count('issues/update-comment'), edits + 1);
    await operator.sweep();
    assert.deepEqual(firstLines(pull), [REFUSAL]);
    assert.equal(github.count('issues/update-comment'), edits + 2);
  });

  test('that was deleted is made again at once when GitHub tells us; other comments are nothing to us', async () => {
    const { operator, pull, github } = await told();
    await using _ = operator;
    const reads = github.count('issues/get-comment');
    const theirs = pull.comment('mona', 'nice');
    await pull.editComment('maintainer', theirs, 'rude');
    await pull.deleteComment('mona', theirs);
    await operator.rest();
    assert.equal(github.count('issues/get-comment'), reads);
    await pull.deleteComment('mona', pull.comments[0]?.id ?? 0);
    await operator.rest();
    assert.deepEqual(firstLines(pull), [REFUSAL]);
  });

  test('is looked at again when GitHub did not answer', async () => {
    const { operator, pull, github } = await told();
    await using _ = operator;
    for (const comment of pull.comments) comment.body = 'spoilt';
    const reads = { on: 'issues/get-comment', times: 2, fault: { kind: 'status', status: 502 } } as const;
    github.faults.add(reads);
    await operator.sweep();
    assert.deepEqual(firstLines(pull), [REFUSAL]);
  });
});
