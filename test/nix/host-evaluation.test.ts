import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findEvaluator, repositoryRoot } from '../../scripts/nix/evaluation.ts';
import { matrixGroups, namesIn } from '../../scripts/nix/host-matrix.ts';
import { scoredUnits } from '../../scripts/nix/scored-units.ts';

/** docs/reference/host-evaluation.md lists what there is. The figures in it are of the run that wrote it. */
const evaluator = findEvaluator();
const page = readFileSync(join(repositoryRoot, 'docs/reference/host-evaluation.md'), 'utf8');
const sections = page.split(/^## (?!Running it)/m).slice(1);

/** First cells of a section's table, without its head. */
function rowsOf(section: string): string[] {
  return Array.from(section.matchAll(/^\| (?!configuration|unit|-)`?([^|`]+?)`? \|/gm), ([, name]) => String(name));
}

test('everything on the page evaluates', () => {
  assert.doesNotMatch(page, /\| fails/);
  assert.equal(sections.length, matrixGroups.length + 1);
});

test('the page has every unit whose exposure is measured (npm run docs:host-evaluation)', () => {
  assert.deepEqual(
    rowsOf(sections.at(-1) ?? ''),
    scoredUnits().map(({ name }) => name),
  );
});

test('the page has every configuration (npm run docs:host-evaluation)', {
  skip: typeof evaluator === 'string' ? evaluator : false,
}, async () => {
  if (typeof evaluator === 'string') return;
  for (const [index, group] of matrixGroups.entries()) {
    assert.deepEqual(rowsOf(sections[index] ?? ''), await namesIn(evaluator, group), group);
  }
});
