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

/** Spellings of one value that a length could be taken in by: shorter and longer numbers, escapes, spaces. */
const spelledNumber = fc.oneof(
  fc.integer().map(String),
  fc
    .tuple(fc.integer({ min: -999, max: 999 }), fc.integer({ min: -3, max: 25 }))
    .map(([digits, exponent]) => `${digits}e${exponent}`),
  fc.constantFrom(
    '0',
    '-0',
    '1000',
    '2500',
    '-12000',
    '9007199254740991',
    '9007199254740993',
    '0.1',
    '1E3',
    '10e1',
    '1e2',
  ),
);
const spelledText = fc
  .array(fc.constantFrom('a', 'é', '\\n', '\\\\', '\\"', '\\u0041', '\\ud83d\\ude00', ':', '{'), { maxLength: 4 })
  .map((parts) => `"${parts.join('')}"`);
const space = fc.constantFrom('', '', '', ' ', '\n', '\t\r');
const spelled = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    spelledNumber,
    spelledText,
    fc.constantFrom('true', 'false', 'null', '{}', '[]'),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
    fc
      .array(fc.tuple(tie('value'), space), { maxLength: 4 })
      .map((values) => `{${values.map(([value, gap], at) => `"${at}"${gap}:${gap}${value}`).join(',')}}`),
  ),
}));

test('however a value is spelled, it is read; with one member more of a name that is there it is refused', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}`);
  fc.assert(
    fc.property(spelled.value, spelled.value, spelled.value, (first, second, other) => {
      const member = first;
      const once = `{"":${member},"m":${other}}`;
      assert.deepEqual(parseStrictJson(Buffer.from(once)), JSON.parse(once));
      const twice = `{"":${member},"m":${other},"":${second}}`;
      assert.throws(() => parseStrictJson(Buffer.from(twice)), /names a member twice/);
    }),
    { seed, numRuns: 5_000 },
  );
});

test('a large text is refused for its depth before anything is built of it', () => {
  const open = Buffer.alloc(25 * 1024 * 1024, '[');
  assert.throws(() => parseStrictJson(open), /more than 64 deep/);
  const deepEnd = `[${'0,'.repeat(300_000)}${'['.repeat(64)}${']'.repeat(64)}]`;
  assert.throws(() => parseStrictJson(Buffer.from(deepEnd)), /more than 64 deep/);
  const twice = `{"a":[${'0,'.repeat(300_000)}0],"a":1}`;
  assert.throws(() => parseStrictJson(Buffer.from(twice)), /names a member twice/);
});

test('64 containers within each other are read, 65 are not', () => {
  const nested = (depth: number) => Buffer.from('[{"a":'.repeat(depth / 2) + '1' + '}]'.repeat(depth / 2));
  assert.doesNotThrow(() => parseStrictJson(nested(64)));
  assert.throws(() => parseStrictJson(nested(66)), /more than 64 deep/);
  assert.throws(() => parseStrictJson(Buffer.from(`[${nested(64).toString()}]`)), /more than 64 deep/);
});
