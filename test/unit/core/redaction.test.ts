/** What an app was given is not in what people are shown of its output, however it was printed and wherever the line was cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { cleanLine } from '../../../webhook/adapters/runtimes/process/log-lines.ts';
import { OperatorError } from '../../../webhook/core/errors.ts';
import { LOG_LINE_MAX_BYTES } from '../../../webhook/core/limits.ts';
import { redacted, withoutSecrets } from '../../../webhook/core/redaction.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

// What stands around a secret has no character of it, so that whatever of it is found was printed of it.
const around = fc.string({ unit: fc.constantFrom(...Array.from('0123456789 .:')), maxLength: 30 });
const secret = fc
  .string({
    unit: fc.constantFrom(...Array.from('abcXYZ_-+/=&%$#"\'`\\ \t\nüß\u{1f600}')),
    minLength: 6,
    maxLength: 60,
  })
  .filter((text) => piecesOf(text).length > 0);

/** Between control characters, which no line keeps. */
function piecesOf(text: string): string[] {
  return text
    .split(/[\t\n]/)
    .map((piece) => piece.trim())
    .filter((piece) => piece.length >= 6);
}

const PRINTED: readonly ((value: string) => string)[] = [
  (value) => value,
  (value) => `postgresql://app:${encodeURIComponent(value)}@127.0.0.1/app`,
  (value) => `?key=${encodeURIComponent(value).replaceAll('%20', '+')}`,
  (value) => JSON.stringify({ key: value }),
  (value) => JSON.stringify([`0${value}0`]),
];

const shown = (text: string) => text.split('\n').map(cleanLine).join('\n');

/** Six characters in a row of it, outside of the marks. */
function leakOf(text: string, value: string): string | undefined {
  const visible = text.split('[redacted]');
  return piecesOf(value)
    .flatMap((piece) => Array.from({ length: piece.length - 5 }, (_, start) => piece.slice(start, start + 6)))
    .find((part) => visible.some((run) => run.includes(part)));
}

test('no six characters of a secret are left, as it is, in a URL, in JSON', () => {
  fc.assert(
    fc.property(fc.array(secret, { minLength: 1, maxLength: 3 }), around, around, (secrets, before, after) => {
      const lines = secrets.flatMap((value) => PRINTED.map((print) => `${before}${print(value)}${after}`));
      const text = redacted(shown(lines.join('\n')), secrets);
      for (const value of secrets) assert.equal(leakOf(text, value), undefined, text);
    }),
    { seed, numRuns: 5_000 },
  );
});

test('nor where the line was cut', () => {
  fc.assert(
    fc.property(secret, fc.nat({ max: 80 }), (value, room) => {
      for (const print of PRINTED) {
        const line = '0'.repeat(LOG_LINE_MAX_BYTES - room) + print(value);
        const ofJournal = line.split('\n').map((each) => each.slice(0, LOG_LINE_MAX_BYTES));
        const text = redacted([shown(line), ...ofJournal].join('\n'), [value]);
        assert.equal(leakOf(text, value), undefined, text.replaceAll('0', ''));
      }
    }),
    { seed, numRuns: 2_000 },
  );
});

test('nor in base64, wherever it begins, of one that has eight bytes', () => {
  const long = secret.filter((text) => Buffer.byteLength(text) >= 8);
  fc.assert(
    fc.property(long, around, around, (value, before, after) => {
      for (const encoding of ['base64', 'base64url'] as const) {
        const encoded = Buffer.from(before + value + after).toString(encoding);
        const visible = redacted(encoded, [value]).split('[redacted]');
        const decoded = visible.map((run) => Buffer.from(run, encoding).toString('utf8'));
        // What shares a group of three bytes with what is around it stays: two at each end.
        assert.equal(visible.length, 2, encoded);
        for (const run of decoded) assert.equal(leakOf(run, value), undefined);
      }
    }),
    { seed, numRuns: 2_000 },
  );
});

test('what is no secret stays as it is', () => {
  fc.assert(
    fc.property(fc.array(secret, { maxLength: 3 }), fc.array(around), (secrets, lines) => {
      const text = lines.join('\n');
      assert.equal(redacted(text, secrets), text);
    }),
    { seed, numRuns: 2_000 },
  );
});

test('examples', () => {
  const password = 'Zk3vQ0aXb9LmT4yRw7Ec2HdN';
  const url = `postgresql://preview_shop_42:${password}@127.1.0.2:5433/preview_shop_42`;
  assert.equal(
    redacted(`DATABASE_URL=${url}\nfailed`, [password]),
    'DATABASE_URL=postgresql://preview_shop_42:[redacted]@127.1.0.2:5433/preview_shop_42\nfailed',
  );
  // The last lines of one with several: each line is looked for.
  const pem = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n';
  assert.equal(
    redacted('web: hkiG9w0BAQEFAASC\nweb: -----END PRIVATE KEY-----', [pem]),
    'web: [redacted]\nweb: [redacted]',
  );
  const basic = Buffer.from('app:s3cr3t-token').toString('base64');
  assert.match(
    redacted(`Authorization: Basic ${basic}`, ['s3cr3t-token']),
    /^Authorization: Basic \w{4,8}\[redacted\]/,
  );
  // One that begins within another, and one within another.
  assert.equal(redacted('<abcdef123xyz789>', ['abcdef123', '123xyz789']), '<[redacted]>');
  assert.equal(redacted('<abcdef123>', ['abcdef', 'abcdef123']), '<[redacted]>');
  assert.equal(redacted('abcdefabcdef', ['abcdef']), '[redacted]');
  // Too short to be told from ordinary words.
  assert.equal(redacted('eu-1 is down, port 12345', ['eu-1', '12345', '']), 'eu-1 is down, port 12345');
});

test('an error keeps all but the secret', () => {
  const cause = new Error('why');
  const error = new OperatorError('SETUP_FAILED', 'It said hunter2000.', {
    detail: 'TOKEN=hunter2000',
    hint: 'hint',
    retry: 'later',
    retryAfterMs: 5,
    cause,
  });
  const { code, message, detail, hint, retry, retryAfterMs } = withoutSecrets(error, ['hunter2000']);
  assert.deepEqual(
    { code, message, detail, hint, retry, retryAfterMs },
    {
      code: 'SETUP_FAILED',
      message: 'It said [redacted].',
      detail: 'TOKEN=[redacted]',
      hint: 'hint',
      retry: 'later',
      retryAfterMs: 5,
    },
  );
  assert.equal(withoutSecrets(error, ['hunter2000']).cause, cause);
  assert.equal(withoutSecrets(error, ['something else']), error);
});
