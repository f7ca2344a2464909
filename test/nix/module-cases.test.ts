import { strict as assert } from 'node:assert';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { evaluateJson, evaluationError, findEvaluator, repositoryRoot } from '../../scripts/nix/evaluation.ts';

/**
 * Runs the eval-tests.nix of every module: `{ lib, pkgs, root }: { "<what must hold>" = case; }`, where a case is
 *   { modules = [ … ]; refused = "text"; }        our own assertion must refuse it, with that text
 *   { modules = [ … ]; throws = "text"; }         the evaluation itself must end with that text (a wrong type)
 *   { modules = [ … ]; shows = config: { "<label>" = { actual = …; equals | contains | lacks = …; }; }; }
 * `contains` and `lacks` take a string or a list of them. Each case starts from a bare machine with all modules.
 */
interface Shown {
  actual: unknown;
  equals?: unknown;
  contains?: string | string[];
  lacks?: string | string[];
}
interface Answer {
  failed: string[];
  refused?: string;
  shown?: Record<string, Shown>;
}

const evaluator = findEvaluator();
const folders = ['server-config/modules', 'server-config', 'initial-install'];
const files = folders
  .flatMap((folder) => {
    const path = join(repositoryRoot, folder);
    if (!existsSync(path)) return [];
    return readdirSync(path).map((name) => `${folder}/${name}/eval-tests.nix`);
  })
  .filter((file) => existsSync(join(repositoryRoot, file)));

for (const file of files) {
  describe(file, () => {
    if (typeof evaluator === 'string') {
      test(`${file} evaluates`, { skip: evaluator }, () => {});
      return;
    }
    const source = `(root + "/${file}")`;
    test('its cases hold', async (t) => {
      const answers = (await evaluateJson(evaluator, `t.answers ${source}`)) as Record<string, Answer>;
      for (const [name, answer] of Object.entries(answers)) await t.test(name, () => checkAnswer(answer));
      const throwing = (await evaluateJson(evaluator, `t.throwing ${source}`)) as Record<string, string>;
      for (const [name, text] of Object.entries(throwing)) {
        await t.test(name, async () => {
          const error = await evaluationError(evaluator, `t.forced ${source} ${JSON.stringify(name)}`);
          assert.ok(error?.includes(text), `expected an error with ${JSON.stringify(text)}, got: ${error}`);
        });
      }
    });
  });
}

function checkAnswer(answer: Answer): void {
  if (answer.refused !== undefined) {
    const wanted = answer.refused;
    assert.ok(
      answer.failed.some((message) => message.includes(wanted)),
      `no failed assertion says ${JSON.stringify(wanted)}; failed: ${JSON.stringify(answer.failed)}`,
    );
    return;
  }
  assert.deepEqual(answer.failed, [], 'assertions of a configuration that should be accepted');
  for (const [label, shown] of Object.entries(answer.shown ?? {})) checkShown(label, shown);
}

function checkShown(label: string, { actual, ...wanted }: Shown): void {
  assert.ok(Object.keys(wanted).length > 0, `${label} compares with nothing`);
  if ('equals' in wanted) assert.deepEqual(actual, wanted.equals, label);
  const text = typeof actual === 'string' ? actual : JSON.stringify(actual);
  for (const part of [wanted.contains ?? []].flat()) {
    assert.ok(text.includes(part), `${label} lacks ${JSON.stringify(part)}:\n${text}`);
  }
  for (const part of [wanted.lacks ?? []].flat()) {
    assert.ok(!text.includes(part), `${label} should not have ${JSON.stringify(part)}:\n${text}`);
  }
}
