import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { findNixInstantiate, repositoryRoot } from '../../scripts/nix/evaluation.ts';

/** Every Nix file of ours is read by the real Nix; no nixpkgs tree is needed for that. */
const nixInstantiate = findNixInstantiate();
const skip = nixInstantiate === undefined ? 'needs Nix: npm run nix-beside says how' : false;

test('the real Nix parses every Nix file', { skip }, (t) => {
  const files = globSync('{server-config,initial-install,test}/**/*.nix', { cwd: repositoryRoot });
  const wrong = files.flatMap((file) => {
    const parsed = spawnSync(String(nixInstantiate), ['--parse', file], { cwd: repositoryRoot, encoding: 'utf8' });
    return parsed.status === 0 ? [] : [`${file}: ${parsed.stderr}`];
  });
  t.diagnostic(`${files.length} files`);
  assert.deepEqual(wrong, []);
});
