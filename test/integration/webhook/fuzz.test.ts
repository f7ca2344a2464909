/**
 * Nonsense with a good signature, and without: the listener never ends, never answers 5xx, takes nothing that is unsigned, and what it logs is safe to
 * read. Bounded by time (`FUZZ_MS=<n>` for a longer run); a failing seed is
 * repeated with `SEED=<n>`.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { AWebhookServer, payloadWith, PREVIOUS_SECRET, SECRET } from '../../support/a-webhook-server.ts';

const FOR_MS = Number(process.env['FUZZ_MS'] ?? 8_000);
const SENDERS = 8;
/** Bytes that end or begin something in JSON, UTF-8, a form or a terminal. */
const NASTY = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '\0',
  '\u001b[2J',
  '\ufeff',
  '\u202e',
  '1e400',
  '-0',
  'NaN',
  '"__proto__":1,',
  '\\ud800',
  '%',
  '&',
  '\r\n',
];
const CANARY = 'canary-in-a-payload-7d51e84a06';

/** Mulberry32: small, and the same everywhere for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random: () => number, limit: number) => Math.floor(random() * limit);
const oneOf = <T>(random: () => number, items: readonly T[]): T => items[below(random, items.length)] as T;

/** A few changes to the bytes: flipped, cut, doubled, swapped, or something nasty put in. */
function mutated(random: () => number, original: Buffer): Buffer {
  let bytes = Buffer.from(original);
  for (let left = 1 + below(random, 4); left > 0; left -= 1) {
    const at = below(random, bytes.length + 1);
    const end = Math.min(bytes.length, at + below(random, 50));
    const [head, middle, tail] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
    switch (below(random, 5)) {
      case 0:
        bytes[Math.min(at, bytes.length - 1)] = below(random, 256);
        break;
      case 1:
        bytes = Buffer.concat([head, tail]);
        break;
      case 2:
        bytes = Buffer.concat([head, middle, middle, tail]);
        break;
      case 3:
        bytes = Buffer.concat([head, Buffer.from(oneOf(random, NASTY)), bytes.subarray(at)]);
        break;
      default:
        bytes = Buffer.concat([tail, middle, head]);
    }
  }
  return bytes;
}

/** A value of the payload replaced by one of another kind, anywhere. */
function restructured(random: () => number, value: unknown): unknown {
  const strange = [null, true, -1, 0.5, 2 ** 53, '', 'x'.repeat(1_000), [], {}, [[]], CANARY, '\u001b[31m', { id: {} }];
  if (typeof value !== 'object' || value === null || random() < 0.1) return oneOf(random, strange);
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<string, unknown>;
  const keys = Object.keys(copy);
  if (keys.length === 0) return copy;
  const key = oneOf(random, keys);
  if (random() < 0.2) delete copy[key];
  else copy[key] = restructured(random, copy[key]);
  return copy;
}

test('mutated payloads, signed and unsigned', { timeout: FOR_MS + 60_000 }, async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  const random = randomFrom(seed);
  const all = createRequire(import.meta.url)('@octokit/webhooks-examples') as { name: string; examples: object[] }[];
  const seeds = [...(all.find(({ name }) => name === 'pull_request')?.examples ?? []), payloadWith(), payloadWith()];
  await using server = await AWebhookServer.start();
  const answers = new Map<string, number>();
  let unsignedAccepted = 0;
  let accepted = 0;
  const endsAt = Date.now() + FOR_MS;

  const send = async (): Promise<void> => {
    const original = oneOf(random, seeds);
    const isWhole = random() < 0.4;
    const text = JSON.stringify(isWhole ? restructured(random, original) : original);
    const isForm = random() < 0.2;
    const bytes = Buffer.from(isForm ? `payload=${encodeURIComponent(text)}` : text);
    const body = isWhole ? bytes : mutated(random, bytes);
    const isSigned = random() < 0.9;
    const contentType = isForm ? 'application/x-www-form-urlencoded' : 'application/json';
    const { status, body: answer } = await server.deliver(body, {
      secret: isSigned ? oneOf(random, [SECRET, PREVIOUS_SECRET]) : 'not the secret',
      headers: { 'content-type': contentType },
    });
    const { code, reason, status: word } = answer as Record<string, string>;
    const what = `${status} ${code ?? reason ?? word}`;
    answers.set(what, (answers.get(what) ?? 0) + 1);
    if (status === 202) accepted += 1;
    if (!isSigned && status !== 401) unsignedAccepted += 1;
    assert.ok(status < 500, `${what} for ${body.toString('latin1').slice(0, 500)}`);
  };
  const sender = async (): Promise<void> => {
    while (Date.now() < endsAt) await send();
  };
  console.log(`seed ${seed}`);
  await Promise.all(Array.from({ length: SENDERS }, sender));

  console.log(Object.fromEntries(answers));
  assert.equal(unsignedAccepted, 0);
  assert.equal(server.accepted.size, accepted);
  assert.ok(
    (answers.get('400 bad_json') ?? 0) > 0 && (answers.get('400 bad_payload') ?? 0) > 0,
    'the fuzz reaches both parsers',
  );
  for (const { key, repository } of server.accepted.values()) {
    assert.ok(
      Number.isSafeInteger(key.repositoryId) && key.subject.kind === 'pull' && /^[\w.-]+\/[\w.-]+$/.test(repository),
    );
  }
  const log = server.logText();
  for (const secret of [SECRET, PREVIOUS_SECRET, CANARY]) assert.ok(!log.includes(secret));
  assert.doesNotMatch(log.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
});
