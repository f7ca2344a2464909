/** The table of docs/reference/http-api.md, row by row: every answer in it is given, and none is given that is not in it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { OperatorError } from '../../../webhook/core/errors.ts';
import type { Acceptance } from '../../../webhook/ports.ts';
import { AWebhookServer, payloadWith, type Reply } from '../../support/a-webhook-server.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/reference/http-api.md'), 'utf8');

/** `202 accepted` and the like; the word may be missing. */
function documentedAnswers(): string[] {
  const rows = page.matchAll(/^\| (\d{3}) \| (?:`(\w+)`)? ?\|/gm);
  return Array.from(rows, ([, status, word]) => [status, word].filter(Boolean).join(' ')).sort();
}

function saidBy({ status, body }: Reply): string {
  const { code, reason, status: word } = (typeof body === 'object' ? body : {}) as Record<string, string>;
  return `${status} ${code ?? reason ?? word}`;
}

test('the documented answers are those that are given', async () => {
  let thrown: unknown = null;
  const known = new Set<string>();
  const accept = (id: string): Promise<Acceptance> => {
    if (thrown !== null) return Promise.reject(thrown);
    const acceptance = known.has(id) ? 'duplicate' : 'accepted';
    known.add(id);
    return Promise.resolve(acceptance);
  };
  const limits = { bodyMaxBytes: 5_000, bodiesMaxBytes: 4_000, receiveTimeoutMs: 500, badSignaturesPerMinute: 1 };
  await using server = await AWebhookServer.start({
    intake: { accept },
    limits,
    repositories: ['acme/shop'],
  });
  const good = payloadWith();
  const guid = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const raw = async (bytes: string) => (await server.raw(bytes)).slice('HTTP/1.1 '.length, 'HTTP/1.1 '.length + 3);
  const given: string[] = [];
  const says = async (reply: Promise<Reply>) => given.push(saidBy(await reply));

  await says(server.deliver(good, { guid }));
  await says(server.deliver(good, { guid }));
  await says(server.deliver(good, { event: 'ping' }));
  await says(server.deliver(good, { event: 'push' }));
  await says(server.deliver(payloadWith({ action: 'labeled' })));
  await says(server.deliver(payloadWith({ 'repository.full_name': 'other/shop' })));
  const comment = { id: 1, user: { id: 2 } };
  const edited = { ...good, action: 'edited', issue: { number: 7, pull_request: {} }, comment, sender: { id: 3 } };
  await says(server.deliver(edited, { event: 'issue_comment' }));
  await says(server.deliver(good, { headers: { 'x-github-delivery': 'x' } }));
  await says(server.deliver(good, { headers: { 'x-github-event': 'x y' } }));
  await says(server.deliver('{'));
  await says(server.deliver({}));
  await says(server.deliver(good, { secret: 'wrong' }));
  await says(server.deliver(good, { secret: 'wrong' }));
  await says(server.deliver({ ...good, padding: 'x'.repeat(5_000) }));
  await says(server.deliver({ ...good, padding: 'x'.repeat(4_000) }));
  await says(server.deliver(good, { headers: { 'content-type': 'text/plain' } }));
  thrown = new OperatorError('STATE_UNAVAILABLE', 'away');
  await says(server.deliver(good));
  thrown = new Error('unforeseen');
  await says(server.deliver(good));
  given.push(`${await raw('nonsense\r\n\r\n')} bad_request`);
  given.push(await raw('POST /webhook/github HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\nConnection: close\r\n\r\n'));
  given.push(await raw('POST /webhook/github HTTP/1.1\r\n'));
  given.push(await raw(`POST /webhook/github HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`));

  assert.deepEqual(given.sort(), documentedAnswers());
});

test('the documented limits are those in force', async () => {
  const { HTTP_LIMITS } = await import('../../../webhook/http/server.ts');
  const rows = [
    `| ${HTTP_LIMITS.receiveTimeoutMs / 1_000} seconds |`,
    `| ${HTTP_LIMITS.keepAliveMs / 1_000} seconds |`,
    `| cut after ${HTTP_LIMITS.sendTimeoutMs / 1_000} seconds`,
    `answers have not left; with more it is cut | ${HTTP_LIMITS.inHandMax} |`,
    `| ${HTTP_LIMITS.connectionsMax.toLocaleString('en')} |`,
    `| ${HTTP_LIMITS.bodyMaxBytes / 2 ** 20} MB; ${HTTP_LIMITS.bodiesMaxBytes / 2 ** 20} MB |`,
    `More than ${HTTP_LIMITS.badSignaturesPerMinute} bad signatures`,
  ];
  for (const row of rows) assert.ok(page.includes(row), row);
});
