import { strict as assert } from 'node:assert';
import { basename } from 'node:path';
import { test } from 'node:test';
import { evaluateJson, findEvaluator } from '../../scripts/nix/evaluation.ts';
import { settingsOf } from '../../scripts/nix/module-settings.ts';
import { profileFiles } from '../../scripts/nix/our-files.ts';
import type { NixNode } from '../../scripts/nix/parse-nix.ts';

/**
 * What a profile says is what a host with it gets, where the host says nothing itself. A mkDefault on a list that NixOS
 * also sets would be dropped without a word; this sees it.
 */
const evaluator = findEvaluator();

for (const { path: file, tree } of profileFiles()) {
  const name = basename(file, '.nix');
  test(`the defaults of the profile ${name} take effect`, {
    skip: typeof evaluator === 'string' ? evaluator : false,
  }, async (t) => {
    if (typeof evaluator === 'string') return;
    const said = settingsOf(tree, () => false).flatMap(({ path, value }) => {
      const plain = plainValue(value);
      // NixOS makes a whole description of the platform's name.
      const whole = path.join('.') === 'nixpkgs.hostPlatform' ? [...path, 'system'] : path;
      return plain === undefined ? [] : [{ path: whole.map((part) => JSON.stringify(part)).join('.'), plain }];
    });
    const config = `(t.evaluate [ t.bareMachine (root + "/${file}") ])`;
    const got = (await evaluateJson(
      evaluator,
      `let c = ${config}; in [ ${said.map(({ path }) => `(c.${path})`).join(' ')} ]`,
    )) as unknown[];
    t.diagnostic(`${said.length} values`);
    for (const [index, { path, plain }] of said.entries()) assert.deepEqual(got[index], plain, path);
  });
}

/** The value of a literal; undefined for what has to be evaluated. */
function plainValue(node: NixNode | undefined): unknown {
  if (node?.kind === 'string') return node.text;
  if (node?.kind === 'number') return node.value;
  if (node?.kind === 'list') return node.items.map(plainValue);
  if (node?.kind === 'identifier' && (node.name === 'true' || node.name === 'false')) return node.name === 'true';
  return undefined;
}
