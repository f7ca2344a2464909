import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseStrictJson } from '../../../../webhook/adapters/github/strict-json.ts';

test('what JSON.stringify writes is read as JSON.parse reads it', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 20 }), (value) => {
      const text = JSON.stringify(value);
      fc.pre(!text.includes('"__proto__"') && text.isWellFormed() && !/\\ud[89a-f]/.test(text));
      assert.deepEqual(parseStrictJson(Buffer.from(text)), JSON.parse(text));
    }),
    { seed, numRuns: 2_000 },
  );
});

test('a member that is named twice is refused wherever it is, however it is spelled', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  const member = fc.tuple(fc.string({ unit: 'binary', minLength: 0, maxLength: 5 }), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(
      fc.array(member, { maxLength: 5 }),
      fc.string({ unit: 'grapheme' }),
      fc.nat(3),
      (members, name, depth) => {
        fc.pre(name !== '__proto__' && members.every(([other]) => other.isWellFormed() && other !== '__proto__'));
        const others = members
          .filter(([other]) => other !== name)
          .map(([other, value]) => `${JSON.stringify(other)}:${JSON.stringify(value)}`);
        const escaped = `"${Array.from({ length: name.length }, (_, at) => `\\u${name.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`;
        const text = `{${[`${JSON.stringify(name)}:1`, ...others, `${escaped}:":{[\\"2"`].join(',')}}`;
        const nested = '[{"a":'.repeat(depth) + text + '}]'.repeat(depth);
        assert.throws(() => parseStrictJson(Buffer.from(nested)), /names a member twice|is called __proto__/);
      },
    ),
    { seed, numRuns: 2_000 },
  );
});

test('colons, braces and quotes inside of texts are not counted', () => {
  const value = { 'a:b': '{"c":["', '\\': '\\\\":', '"': [':', { '}': '\\"' }] };
  assert.deepEqual(parseStrictJson(Buffer.from(JSON.stringify(value))), value);
});
