import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { createLog } from '../../../../webhook/adapters/logging/pino-log.ts';
import { OperatorError } from '../../../../webhook/core/errors.ts';

const CANARY = 'canary-3f2b9c7d51e84a06-never-to-be-seen';

/** What one call writes. */
function linesOf(write: (log: ReturnType<typeof createLog>) => void): string {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  write(createLog({ level: 'debug', secrets: [CANARY, ''], destination }));
  return lines.join('');
}

// What may be in a line besides its closing line break.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

suite('a log line', () => {
  test('has no control character, also none spelled out for a JSON reader', () => {
    const hostile = '\u001b[31mred\u0007 \r\nnew line \u202eback \u200b \u009b31m \u2028 \u0000 \ud800';
    const text = linesOf((log) =>
      log.child({ [hostile]: hostile }).warn({ a: hostile, b: [hostile], c: { d: hostile } }, hostile),
    );
    assert.equal(text.split('\n').length, 2);
    const line = text.trimEnd();
    assert.doesNotMatch(line, UNSAFE);
    const check = (value: unknown): void => {
      if (typeof value === 'string') assert.doesNotMatch(value, UNSAFE);
      else if (typeof value === 'object' && value !== null) Object.entries(value).flat().forEach(check);
    };
    check(JSON.parse(line));
  });

  test('keeps 256 characters of a text from outside and says how long it was', () => {
    const text = linesOf((log) => log.info({ title: 'x'.repeat(10 * 1024 * 1024) }, 'A title.'));
    const { title } = JSON.parse(text) as { title: string };
    assert.equal(title, `${'x'.repeat(256)}… (10485760 characters)`);
  });

  test('has no secret, by value, by the name of its field, or by its shape', () => {
    const secrets = [
      'ghp_0123456789abcdef0123456789abcdef0123',
      'ghs_0123456789abcdef0123456789abcdef0123',
      'github_pat_11ABCDEFG0abcdefghijkl_0123456789',
      'hunter2',
      'plain-value',
    ];
    const text = linesOf((log) => {
      log.error(
        { url: `postgres://berth:hunter2@db/x`, password: 'plain-value', nested: { apiToken: 'plain-value' } },
        CANARY,
      );
      log.info({ text: `token ${secrets[0]} and ${secrets[1]}, ${secrets[2]}`, deep: [{ text: CANARY }] }, 'x');
      log.warn(
        { headers: { authorization: 'plain-value', 'x-hub-signature-256': 'plain-value', cookie: 'plain-value' } },
        'x',
      );
      log.warn({ key: '-----BEGIN RSA PRIVATE KEY-----\nplain-value\n-----END RSA PRIVATE KEY-----' }, 'x');
      const cause = Object.assign(new Error(`cause ${CANARY}`), {
        request: { headers: { authorization: 'plain-value' } },
      });
      log.error({ error: new OperatorError('INTERNAL', CANARY, { detail: secrets[0] ?? '', cause }) }, 'x');
      log.child({ databaseUrl: 'postgres://berth:hunter2@db/x', text: CANARY }).info({}, 'x');
    });
    for (const secret of [...secrets, CANARY]) assert.ok(!text.includes(secret), `${secret} in ${text}`);
  });

  test('tells of an error its code, message, place and cause', () => {
    const error = new OperatorError('GITHUB_UNREACHABLE', 'GitHub did not answer.', {
      cause: new TypeError('fetch failed'),
    });
    const { error: told, err } = JSON.parse(linesOf((log) => log.error({ error, err: error }, 'x'))) as {
      error: Record<string, unknown>;
      err: unknown;
    };
    // pino has ideas of its own about a field of the name `err`.
    assert.deepEqual(err, told);
    assert.equal(told['code'], 'GITHUB_UNREACHABLE');
    assert.equal(told['message'], 'GitHub did not answer.');
    assert.match(String(told['stack']), /^at /);
    assert.equal((told['cause'] as Record<string, unknown>)['message'], 'fetch failed');
  });

  test('is bounded and JSON, whatever is logged', () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
    console.log(`seed ${seed}`);
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withTypedArray: true, maxDepth: 8 }),
        fc.string(),
        (value, message) => {
          const text = linesOf((log) => log.info({ value }, message));
          assert.equal(text.split('\n').length, 2);
          JSON.parse(text);
        },
      ),
      { seed, numRuns: 500 },
    );
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    assert.ok(linesOf((log) => log.info(circular, 'x')).length < 1_000);
  });
});
