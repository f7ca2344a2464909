import { strict as assert } from 'node:assert';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { evaluateJson, findEvaluator, repositoryRoot } from '../../scripts/nix/evaluation.ts';

/** The host's file that docs/guides/install-on-hetzner.md shows evaluates as it stands, with both of Hetzner's profiles. */
const evaluator = findEvaluator();

test('the host of the guide evaluates to a system', { skip: typeof evaluator === 'string' && evaluator }, async () => {
  if (typeof evaluator === 'string') return;
  const guide = readFileSync(join(repositoryRoot, 'docs/guides/install-on-hetzner.md'), 'utf8');
  const shown = /^```nix\n(.*?)^```/ms.exec(guide)?.[1] ?? '';
  const folder = mkdtempSync(join(tmpdir(), 'berth-guide-'));
  try {
    const systems = ['hetzner-dedicated', 'hetzner-cloud'].map((profile) => {
      // Only where the files lie differs: hosts.toml is the example, and paths are those of this clone.
      const text = shown
        .replace('hetzner-dedicated.nix', `${profile}.nix`)
        .replace('{ name = "berth-1"; }', '{ name = "berth-1"; file = ../../initial-install/hosts.example.toml; }')
        .replaceAll('../../', `${repositoryRoot}/`)
        .replaceAll('../profiles', `${repositoryRoot}/server-config/profiles`);
      const file = join(folder, `${profile}.nix`);
      writeFileSync(file, text);
      return `(t.evaluate [ (/. + ${JSON.stringify(file)}) ]).system.build.toplevel.drvPath`;
    });
    // The folder's name is another one each time; the text is what the answer hangs on.
    for (const system of systems) assert.match(String(await evaluateJson(evaluator, system)), /\.drv$/);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});
