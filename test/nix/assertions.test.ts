import { strict as assert } from 'node:assert';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../../scripts/nix/evaluation.ts';

/**
 * Each assertion of a module has a case in its eval-tests.nix that trips it (run by module-cases.test.ts), and each such case means an
 * assertion that is there. Read as text, so it needs no Nix.
 */
const modules = [
  ...new Set(globSync('server-config/modules/*/eval-tests.nix', { cwd: repositoryRoot }).map(dirname)),
].sort();
const textOf = (file: string) => readFileSync(join(repositoryRoot, file), 'utf8');

/** Modules' files, but for their cases. */
const filesOf = (module: string) =>
  globSync(`${module}/*.nix`, { cwd: repositoryRoot }).filter((file) => !file.endsWith('eval-tests.nix'));

const unescaped = (text: string) => text.replace(/\\(.)/g, '$1');

/** Each message of the module's assertions, as the pieces between what Nix puts into it. */
const messagesOf = (module: string) =>
  filesOf(module)
    .flatMap((file) => Array.from(textOf(file).matchAll(/^\s*message = "(.*)";$/gm), ([, message = '']) => message))
    .map((message) => message.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/).map(unescaped));

const refusalsOf = (module: string) =>
  Array.from(textOf(`${module}/eval-tests.nix`).matchAll(/^\s*refused = "(.*)";$/gm), ([, text = '']) =>
    unescaped(text),
  );

/** Letters that a case's text must share with a message: fewer would be chance. */
const SHARED_MIN = 8;

/** Whether a message of these pieces can hold the text: inside a piece, or running from or into what Nix puts beside one. */
function canHold(pieces: readonly string[], text: string): boolean {
  const isShared = (length: number) => length >= Math.min(SHARED_MIN, text.length);
  return pieces.some((piece, index) => {
    const isBetween = index > 0 && index < pieces.length - 1;
    if (piece.includes(text) || (isBetween && piece.length >= SHARED_MIN && text.includes(piece))) return true;
    for (let length = text.length - 1; isShared(length); length -= 1) {
      if (index < pieces.length - 1 && piece.endsWith(text.slice(0, length))) return true;
      if (index > 0 && piece.startsWith(text.slice(-length))) return true;
    }
    return false;
  });
}

test('there are assertions to look at', () => {
  assert.ok(modules.length >= 15, String(modules.length));
  for (const module of modules) assert.ok(existsSync(join(repositoryRoot, module, 'README.md')), module);
});

for (const module of modules)
  test(`each assertion of ${module} has a case that trips it`, (t) => {
    const messages = messagesOf(module);
    const written = filesOf(module).flatMap((file) => textOf(file).match(/^\s*assertion =/gm) ?? []).length;
    assert.equal(messages.length, written, 'every assertion’s message could be read');
    const refusals = refusalsOf(module);
    t.diagnostic(`${messages.length} assertions, ${refusals.length} cases`);
    assert.deepEqual(
      messages.filter((pieces) => !refusals.some((text) => canHold(pieces, text))).map((pieces) => pieces.join('…')),
      [],
      'assertions that no case trips',
    );
    assert.deepEqual(
      refusals.filter((text) => !messages.some((pieces) => canHold(pieces, text))),
      [],
      'cases that mean no assertion of this module',
    );
  });
