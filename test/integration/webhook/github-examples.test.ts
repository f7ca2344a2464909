/** Every example payload that GitHub publishes, as it is, signed, over HTTP, with PostgreSQL behind. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { AWebhookServer } from '../../support/a-webhook-server.ts';
import { openTestState } from '../../support/test-state.ts';

interface Example {
  readonly name: string;
  readonly examples: readonly { readonly action?: string }[];
}
const examples = createRequire(import.meta.url)('@octokit/webhooks-examples') as Example[];

/** What docs/reference/http-api.md promises for an event. */
function documentedAnswer(event: string, action: string | undefined): { status: number; says: string } {
  if (event === 'ping') return { status: 200, says: 'pong' };
  // All of GitHub's examples of comments are about issues.
  if (event === 'issue_comment') {
    return { status: 200, says: action === 'created' ? 'action_not_relevant' : 'comment_not_ours' };
  }
  if (event !== 'pull_request') return { status: 200, says: 'event_not_relevant' };
  const relevant = ['opened', 'reopened', 'synchronize', 'closed', 'edited', 'converted_to_draft', 'ready_for_review'];
  return relevant.includes(action ?? '')
    ? { status: 202, says: 'accepted' }
    : { status: 200, says: 'action_not_relevant' };
}

test('each of GitHub’s example payloads gets the documented answer, in both content types', async () => {
  await using state = await openTestState();
  await using server = await AWebhookServer.start({ intake: state.intake });
  let pullRequests = 0;
  let all = 0;
  for (const { name, examples: payloads } of examples) {
    for (const payload of payloads) {
      const expected = documentedAnswer(name, payload.action);
      const json = JSON.stringify(payload);
      const asJson = await server.deliver(json, { event: name });
      const asForm = await server.deliver(`payload=${encodeURIComponent(json).replaceAll('%20', '+')}`, {
        event: name,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
      for (const { status, body } of [asJson, asForm]) {
        const { status: word, reason } = body as { status: string; reason?: string };
        assert.deepEqual({ status, says: reason ?? word }, expected, `${name} ${payload.action}`);
      }
      all += 1;
      if (name === 'pull_request') pullRequests += 1;
    }
  }
  assert.equal(all, 329);
  assert.equal(pullRequests, 29);
  // All 15 that count are about one pull request: one record, one job.
  const previews = await state.store.list();
  assert.deepEqual(
    previews.map(({ key, repository }) => ({ key, repository })),
    [{ key: { repositoryId: 186853002, subject: { kind: 'pull', number: 2 } }, repository: 'Codertocat/Hello-World' }],
  );
  assert.equal((await state.waitingJobs()).length, 1);
});

test('a payload for a repository that is not on the allow-list is ignored with that reason', async () => {
  await using server = await AWebhookServer.start({ repositories: ['acme/shop'] });
  const payload = examples.find(({ name }) => name === 'pull_request')?.examples[0];
  const { status, body } = await server.deliver(payload ?? {});
  assert.deepEqual([status, body], [200, { status: 'ignored', reason: 'not_allowed' }]);
});
