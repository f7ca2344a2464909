import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusedSeedError, seedFrom, seedHashOf } from '../../../webhook/core/database-seed.ts';

test('a seed that could not be sent whole is refused, and the file is named', () => {
  for (const [text, message] of [
    [null, /no file db\/seed\.sql/],
    ['select 1;\0', /NUL/],
    [Buffer.from([0x73, 0xe4, 0x3b]).toString('utf8'), /not UTF-8/],
  ] as const)
    assert.throws(() => seedFrom('db/seed.sql', text), { code: 'SEED_FAILED', retry: 'on-new-input', message });
});

test('what pg_dump writes for psql alone is left out, line by line; psql’s other commands are not', () => {
  const dump = '\uFEFF--\n\\restrict aB3\n\nselect 1;\r\n\\unrestrict aB3\r\n';
  assert.equal(seedFrom('s', dump), '--\n\n\nselect 1;\r\n\n');
  for (const text of ['\\! touch x', "select '\n\\restrict it';", '\\i other.sql', ' \\restrict x'])
    assert.equal(seedFrom('s', text), text);
});

test('equal text has an equal hash, and another text another', () => {
  assert.equal(seedHashOf('select 1'), seedHashOf('select 1'));
  assert.notEqual(seedHashOf('select 1'), seedHashOf('select 1 '));
  assert.match(seedHashOf(''), /^[0-9a-f]{64}$/);
});

test('a refusal names the line where PostgreSQL does, and is bounded', () => {
  const seed = 'a\nb\n\u{1F6A2}\u{1F6A2}c\nd';
  const lineOf = (at: number) =>
    /line (\d+)/.exec(refusedSeedError('s', seed, { message: '', position: String(at) }).message)?.[1];
  assert.deepEqual([1, 2, 3, 5, 7, 8, 9, 99].map(lineOf), ['1', '1', '2', '3', '3', '3', '4', '4']);
  const error = refusedSeedError('s', seed, { message: 'x'.repeat(1_000_000) });
  assert.equal(error.message, 'The seed s was refused by PostgreSQL.');
  assert.equal(error.detail?.length, 2_000);
});
