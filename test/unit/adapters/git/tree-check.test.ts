import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { checkEntries, entriesFrom, escapingLink } from '../../../../webhook/adapters/git/tree-check.ts';
import { TREE_ENTRIES_MAX, TREE_MAX_BYTES } from '../../../../webhook/core/limits.ts';

const OBJECT = '1234567890123456789012345678901234567890';

function entry(path: string, size = '1', mode = '100644'): string {
  return `${mode} blob ${OBJECT} ${size.padStart(7)}\t${path}\0`;
}

test('reads what git lists, also names with tabs, spaces and line breaks', () => {
  const listing =
    entry('a') + entry('b\tc d\ne') + `160000 commit ${OBJECT}       -\tmodule\0` + entry('l', '3', '120000');
  assert.deepEqual(
    entriesFrom(listing).map(({ kind, bytes, path }) => [kind, bytes, path]),
    [
      ['file', 1, 'a'],
      ['file', 1, 'b\tc d\ne'],
      ['submodule', 0, 'module'],
      ['symlink', 3, 'l'],
    ],
  );
  assert.throws(() => entriesFrom(entry('x', '1', '100000')), {
    code: 'SOURCE_REFUSED',
    message: '"x" has the unknown mode 100000.',
  });
});

const REFUSED: readonly (readonly [path: string, message: RegExp])[] = [
  ['a/.git/config', /"a\/.git\/config" has a part named .git/],
  ['.GIT', /has a part named .git/],
  ['../x', /is not a path inside the tree/],
  ['a//b', /is not a path inside the tree/],
  ['/etc/passwd', /is not a path inside the tree/],
  ['a/./b', /is not a path inside the tree/],
  ['bad\uFFFD', /has a name that is not UTF-8/],
];

test('refuses what is no path inside the tree, and names it on one line', () => {
  for (const [path, message] of REFUSED)
    assert.throws(() => checkEntries(entriesFrom(entry('fine') + entry(path))), { code: 'SOURCE_REFUSED', message });
  assert.throws(
    () => checkEntries(entriesFrom(entry('x\n\u001b[31m/..'))),
    (error: Error) => !error.message.includes('\n') && !error.message.includes('\u001b'),
  );
  checkEntries(entriesFrom(entry('.gitignore') + entry('a/.gitmodules') + entry('..a/b..')));
});

test('refuses too many entries and too many bytes', () => {
  const many = Array.from({ length: TREE_ENTRIES_MAX + 1 }, (_, index) => entry(`f${index}`)).join('');
  assert.throws(() => checkEntries(entriesFrom(many)), { code: 'SOURCE_REFUSED', message: /more than 200000 entries/ });
  const half = String(TREE_MAX_BYTES / 2);
  checkEntries(entriesFrom(entry('a', half) + entry('b', half)));
  assert.throws(() => checkEntries(entriesFrom(entry('a', half) + entry('b', half) + entry('c', '1'))), {
    code: 'SOURCE_REFUSED',
    message: '"c" brings the tree above 2 GiB.',
  });
});

/** Where links lie, and where they point: few names, so that they meet. */
const place = fc.constantFrom('a', 'b', 'd/a', 'd/b', 'd/e/a');
const target = fc
  .array(fc.constantFrom('..', '.', 'a', 'b', 'd', 'e', 'f'), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join('/'));

test('no set of links that the file system follows out of the tree passes', () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-links-'));
  const seed = Date.now() % 2 ** 31;
  try {
    let run = 0;
    let escapes = 0;
    fc.assert(
      fc.property(fc.dictionary(place, target, { maxKeys: 5 }), (links) => {
        const tree = realpathSync(root) + `/${(run += 1)}/deep/tree`;
        mkdirSync(join(tree, 'd/e'), { recursive: true });
        writeFileSync(join(tree, 'd/f'), '');
        for (const [path, to] of Object.entries(links)) {
          mkdirSync(dirname(join(tree, path)), { recursive: true });
          symlinkSync(to, join(tree, path));
        }
        const outside = Object.keys(links).some((path) => !isInside(tree, join(tree, path)));
        if (!outside) return;
        escapes += 1;
        assert.notEqual(escapingLink(new Map(Object.entries(links))), null);
      }),
      { numRuns: 600, seed },
    );
    assert.ok(escapes > 5, `only ${escapes} of the trees had a link to outside (seed ${seed})`);
  } finally {
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  }
});

/** Whether the file system, if it can follow the path at all, ends inside. */
function isInside(tree: string, path: string): boolean {
  try {
    const real = realpathSync(path);
    return real === tree || real.startsWith(`${tree}/`);
  } catch {
    return true;
  }
}

test('links within the tree pass, also to what is not there yet', () => {
  const links = new Map([
    ['node_modules/.bin/x', '../x/cli.js'],
    ['d/e/up', '../..'],
    ['current', 'releases/2/../1'],
    ['build', 'out/later'],
  ]);
  assert.equal(escapingLink(links), null);
});
