import { strict as assert } from 'node:assert';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { evaluateJson, findEvaluator, repositoryRoot, type Evaluator } from '../../scripts/nix/evaluation.ts';

/** The outputs of server-config/flake.nix. `formatter` is not among them: it is a Haskell program, which the small tree lacks. */
const evaluator = findEvaluator();
const outputs = '(t.flakeOutputs (root + "/server-config"))';

if (typeof evaluator === 'string') {
  test('the outputs of the flake evaluate', { skip: evaluator }, () => {});
} else {
  describe('the flake', () => flakeTests(evaluator));
}

function flakeTests(evaluator: Evaluator): void {
  const derivations = async (set: string): Promise<Record<string, string>> =>
    (await evaluateJson(evaluator, `builtins.mapAttrs (_: each: each.drvPath) ${outputs}.${set}`)) as Record<
      string,
      string
    >;

  test('its packages evaluate', async () => {
    const packages = await derivations('packages.x86_64-linux');
    assert.deepEqual(Object.keys(packages), ['lxc-image', 'preview-operator', 'vm', 'vm-image']);
    for (const [name, path] of Object.entries(packages)) assert.match(path, /\.drv$/, name);
  });

  test('the operator’s package has every command that there is', async () => {
    const folders = readdirSync(join(repositoryRoot, 'webhook/commands'), { withFileTypes: true });
    const commands = (await evaluateJson(
      evaluator,
      `${outputs}.packages.x86_64-linux.preview-operator.commands`,
    )) as string[];
    assert.deepEqual(
      commands.sort(),
      folders
        .filter((each) => each.isDirectory())
        .map((each) => each.name)
        .sort(),
    );
  });

  test('the operator’s package and the development shell evaluate on ARM too', async () => {
    const paths = `[ ${outputs}.packages.aarch64-linux.preview-operator.drvPath ${outputs}.devShells.aarch64-linux.default.drvPath ]`;
    for (const path of (await evaluateJson(evaluator, paths)) as string[]) assert.match(path, /\.drv$/);
  });

  test('the VM tests evaluate', async () => {
    const tests = `(import (root + "/test/nixos") { inherit (t) pkgs disko; })`;
    const found = (await evaluateJson(evaluator, `builtins.mapAttrs (_: each: each.drvPath) ${tests}`)) as Record<
      string,
      string
    >;
    assert.deepEqual(Object.keys(found), [
      'install-mirrored',
      'install-single-disk',
      'preview-in-container',
      'service-boots',
      'upgrade',
    ]);
    for (const [name, path] of Object.entries(found)) assert.match(path, /vm-test-run.*\.drv$/, name);
  });

  test('each module can be imported alone', async () => {
    const modules = (await evaluateJson(
      evaluator,
      'builtins.attrNames (import (root + "/server-config/modules"))',
    )) as string[];
    const alone = `builtins.listToAttrs (map (name: { inherit name; value = (t.alone name).system.build.toplevel.drvPath; }) ${JSON.stringify(modules).replaceAll(',', ' ')})`;
    const found = (await evaluateJson(evaluator, alone)) as Record<string, string>;
    for (const name of modules) assert.match(String(found[name]), /\.drv$/, name);
  });
}
