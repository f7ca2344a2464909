import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { evaluateJson, findEvaluator } from '../../scripts/nix/evaluation.ts';

/** Every example host evaluates, with the real option set, to a system that could be built. */
const evaluator = findEvaluator();

if (typeof evaluator === 'string') {
  test('the example hosts evaluate', { skip: evaluator }, () => {});
} else {
  const names = (await evaluateJson(
    evaluator,
    'builtins.attrNames (import (root + "/server-config/hosts"))',
  )) as string[];
  for (const name of names) {
    test(`the example host ${name} evaluates`, async () => {
      const path = await evaluateJson(
        evaluator,
        `(t.evaluate [ (import (root + "/server-config/hosts")).${name} ]).system.build.toplevel.drvPath`,
      );
      assert.match(String(path), /^\/nix\/store\/.*\.drv$/);
    });
  }
}
