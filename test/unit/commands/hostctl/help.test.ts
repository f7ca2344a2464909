import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../../../..');
const hostctl = resolve(root, 'webhook/commands/hostctl/main.ts');

test('the verbs of the README are those of the command, and each explains itself', () => {
  const help = spawnSync(process.execPath, [hostctl, '--help'], { encoding: 'utf8' });
  assert.equal(help.status, 0);
  const verbs = [...(help.stdout.split('Commands:')[1] ?? '').matchAll(/^ {2}([a-z]+)\b/gm)]
    .map((match) => match[1] ?? '')
    .filter((verb) => verb !== 'help');
  const readme = readFileSync(resolve(root, 'server-config/modules/hostctl/README.md'), 'utf8');
  const rows = readme.split('\n').filter((line) => line.startsWith('| `'));
  const described = rows.flatMap((row) =>
    [...(row.split(' | ')[0] ?? '').matchAll(/`([a-z]+)/g)].map((match) => match[1] ?? ''),
  );
  assert.deepEqual(described.toSorted(), verbs.toSorted());
  assert.equal(verbs.length, 12);
  for (const status of ['0 done', '1 failed', '2 wrong usage', '3 refused', '4 ']) {
    assert.ok(help.stdout.includes(status) && readme.includes(status), status);
  }
});

test('a reader that has seen enough ends it quietly', () => {
  // `true` has ended long before Node has anything to say.
  const run = spawnSync('bash', ['-c', `"$0" "$1" --help | true`, process.execPath, hostctl], {
    encoding: 'utf8',
  });
  assert.equal(run.stderr, '');
});
