import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { instanceNameOf, parseSlug } from '../../../webhook/core/names.ts';
import type { Failure, InstanceRecord, PreviewRecord } from '../../../webhook/core/preview.ts';
import { parseRepositoryName, parseSha } from '../../../webhook/core/pull-request.ts';
import { statusPageOf } from '../../../webhook/dashboard/status-page.ts';

const sha = parseSha('a'.repeat(40));
const repository = parseRepositoryName('acme/shop');
assert.ok(sha !== null && repository !== null);
const at = new Date('2026-11-20T12:00:00Z');

const instance: InstanceRecord = {
  id: 1,
  name: instanceNameOf(1),
  slot: 1,
  generation: 1,
  revision: { sha, ref: 'main' },
  createdAt: at,
  manifest: null,
  assumptions: [],
  system: null,
  isSystemCached: null,
  sourcePlacedAt: at,
  setUpAt: null,
  upstreams: null,
  healthyAt: null,
  routedAt: null,
  retiredAt: null,
  failedAt: null,
  discardedAt: null,
  timings: { 'fetch-source': 1_240 },
};

const coming: PreviewRecord = {
  id: 1,
  key: { repositoryId: 81, subject: { kind: 'pull', number: 42 } },
  repository,
  generation: 1,
  createdAt: at,
  requestedAt: at,
  slug: parseSlug('shop-42'),
  wanted: { presence: 'present', revision: { sha, ref: 'add-cart' } },
  hold: null,
  concludedGeneration: 0,
  retryAskedAt: null,
  database: null,
  instances: [instance],
  answering: null,
  failure: null,
  doing: { step: 'set-up', since: at },
};

const failure: Failure = {
  code: 'SETUP_FAILED',
  step: 'set-up',
  message: 'The setup ended with status 1.',
  hint: 'Correct it and push. `preview logs <slug>` shows all.',
  detail: 'npm error one\nnpm error two',
  sha,
  at,
  attempts: 1,
  retry: 'on-new-input',
  nextAttemptAt: null,
};

void test('a preview that comes up shows its step, what is done before it, and since when', () => {
  const { status, html } = statusPageOf(coming);
  assert.equal(status, 503);
  assert.match(html, /<h1>Running the app’s setup<\/h1>/);
  assert.match(html, /acme\/shop #42 · add-cart · <code>aaaaaaaa<\/code>/);
  assert.match(html, /<li class="done">.*Fetching the commit<span class="took">1\.2 s/);
  assert.match(html, /<li class="now">.*setup<span class="took"><time datetime="2026-11-20T12:00:00\.000Z">/);
  assert.match(html, /<li class="next">.*Starting the services/);
});

void test('a preview that failed says at which step, why, and what to do, with the last lines', () => {
  const { html } = statusPageOf({ ...coming, failure, doing: null });
  assert.match(html, /<h1>Running the app’s setup failed<\/h1>/);
  assert.match(html, /<pre tabindex="0">npm error one\nnpm error two<\/pre>/);
  assert.match(html, /Correct it and push\. <code>preview logs shop-42<\/code> shows all\. <code>SETUP_FAILED<\/code>/);
  assert.match(html, /<li class="wrong">/);
});

void test('a program gets one line that says the step or why it failed, in our own words, and when to ask again', () => {
  const line = (record: PreviewRecord | null) => {
    const { text, retryAfterSeconds } = statusPageOf(record);
    return [text, retryAfterSeconds];
  };
  const secret = { ...failure, message: 'hunter2', detail: 'hunter2', hint: 'hunter2' };
  assert.deepEqual(line(null), ['The preview does not answer yet.', 2]);
  assert.deepEqual(line(coming), ['The preview does not answer yet: running the app’s setup.', 2]);
  const failed = { ...coming, failure: secret, doing: null };
  assert.deepEqual(line(failed), ['The preview does not answer: running the app’s setup failed (SETUP_FAILED).', null]);
  const retrying: PreviewRecord = { ...failed, failure: { ...secret, retry: 'later' } };
  const again = 'The preview does not answer yet: running the app’s setup failed; trying again (SETUP_FAILED).';
  assert.deepEqual(line(retrying), [again, 2]);
  const refused: PreviewRecord = {
    ...coming,
    wanted: { presence: 'refused', revision: { sha, ref: 'add-cart' }, reason: 'fork' },
  };
  assert.deepEqual(line(refused), ['The preview does not answer: not run: it comes from another repository.', null]);
});

void test('no text of a pull request becomes markup', () => {
  const hostile = '<img src=x onerror=alert(1)>"\'&</pre><script>alert(2)</script>\u0000\u001b[31m';
  const page = (text: string) =>
    statusPageOf({
      ...coming,
      wanted: { presence: 'present', revision: { sha, ref: text } },
      // Backticks in a hint mark commands; only there, and only as code.
      failure: { ...failure, message: text, detail: text, hint: text.replaceAll('`', '') },
    }).html;
  const shape = (html: string) => html.match(/<[^>]*>/g);
  const plain = shape(page('plain'));
  assert.deepEqual(shape(page(hostile)), plain);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.deepEqual(shape(page(text)), plain);
    }),
  );
});

void test('the policy names exactly the style and the script that are on the page', () => {
  const { html, contentSecurityPolicy } = statusPageOf(coming);
  for (const tag of ['style', 'script']) {
    const [, text = ''] = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(html) ?? [];
    const hash = createHash('sha256').update(text).digest('base64');
    assert.ok(contentSecurityPolicy.includes(`${tag}-src 'sha256-${hash}'`), tag);
  }
  assert.doesNotMatch(contentSecurityPolicy, /unsafe/);
  assert.doesNotMatch(html, /(?:src|href)=/);
});
