import { strict as assert } from 'node:assert';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { evaluateJson, findEvaluator } from '../../scripts/nix/evaluation.ts';
import { golden, goldenFolder, goldenNames, normalized } from './golden.ts';

/**
 * The copies under test/fixtures/rendered are what our modules render. After a change of theirs:
 * UPDATE_GOLDEN=1 npm run test:nix, and read the difference before committing it.
 */
const evaluator = findEvaluator();

test('the rendered texts equal their committed copies', {
  skip: typeof evaluator === 'string' ? evaluator : false,
}, async () => {
  if (typeof evaluator === 'string') return;
  const texts = (await evaluateJson(
    evaluator,
    'import (root + "/test/nix/render.nix") { inherit t root lib; }',
  )) as Record<string, string>;
  if (process.env['UPDATE_GOLDEN'] === '1') write(texts);
  assert.deepEqual(goldenNames(), Object.keys(texts).sort(), 'the list of texts');
  for (const [name, text] of Object.entries(texts)) assert.equal(golden(name), normalized(name, text), name);
});

function write(texts: Record<string, string>): void {
  rmSync(goldenFolder, { recursive: true, force: true, maxRetries: 5 });
  for (const [name, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(goldenFolder, name)), { recursive: true });
    writeFileSync(join(goldenFolder, name), normalized(name, text));
  }
}
