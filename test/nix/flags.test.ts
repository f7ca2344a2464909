import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../../scripts/nix/evaluation.ts';
import { readFlags } from '../../scripts/nix/flags.ts';

test('every flag has a type that flags.nix knows, a default and a sentence', () => {
  const known = readFileSync(join(repositoryRoot, 'server-config/flags.nix'), 'utf8');
  const flags = readFlags();
  assert.ok(flags.length > 20, 'the reader finds our flags');
  for (const { path, type, doc } of flags) {
    assert.ok(known.includes(`"${type}" = `), `${path}: flags.nix does not know the type "${type}"`);
    assert.match(doc, /\S.*\.$/s, `${path}: the doc is a sentence`);
  }
});
