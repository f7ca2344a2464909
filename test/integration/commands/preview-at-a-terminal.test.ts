/** The `preview` command at a shell and on a terminal: what Tab offers, and the steps that tick off. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AnApiOperator } from '../../support/an-api-operator.ts';

const FIRST = 'a'.repeat(40);
const SECOND = 'b'.repeat(40);

test('completion offers commands, options, and the names that there are', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  const offered = async (...words: string[]) =>
    (await operator.preview('complete', '--', ...words)).stdout.split('\n').map((line) => line.split('\t')[0]);
  assert.ok((await offered('')).includes('rollback'));
  assert.ok((await offered('logs', '--')).includes('--follow'));
  assert.ok((await offered('status', '')).includes('shop-7'));
  assert.ok((await offered('--json', 'status', '')).includes('shop-7'), 'also after an option');
  const socket = ['--socket', operator.socket];
  assert.ok((await offered(...socket, '--json', 'status', 'sh')).includes('shop-7'), 'and after one with a value');
  for (const shell of ['bash', 'zsh', 'fish', 'powershell']) {
    const script = await operator.preview('complete', shell);
    assert.equal(script.status, 0);
    assert.match(script.stdout, /preview/);
  }
});

test('completion for bash needs no package, may be sourced again, and runs nothing of the line', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  const pressed = async (...words: string[]) => {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const { status, stdout, stderr } = await operator.bash(`
      for time in 1 2; do source <(preview complete bash); done
      COMP_WORDS=(preview ${quoted}) COMP_CWORD=${words.length}
      $(complete -p preview | sed 's/.*-F \\([^ ]*\\) .*/\\1/') preview '${words.at(-1) ?? ''}' ''
      printf '%s\n' "\${COMPREPLY[@]}"`);
    assert.deepEqual([status, stderr], [0, '']);
    return stdout.trimEnd().split('\n');
  };
  assert.deepEqual(await pressed('ro'), ['rollback']);
  assert.deepEqual(await pressed('status', ''), ['shop-7']);
  assert.deepEqual(await pressed('--json', 'status', 'sh'), ['shop-7']);
  assert.deepEqual(await pressed('logs', '--f'), ['--follow']);
  const mark = join(operator.folder, 'mark');
  assert.deepEqual(await pressed('exec', `$(touch ${mark})`), ['']);
  assert.ok(!existsSync(mark));
});

const hasTerminal = spawnSync('script', ['-qec', 'true', '/dev/null'], { stdio: 'ignore' }).status === 0;

const needsTerminal = { skip: hasTerminal ? false : 'needs script(1) from util-linux, for a terminal' };

/** Without what moves the cursor and sets colours. */
function plainText(shown: string): string {
  // eslint-disable-next-line no-control-regex -- that is what is taken away
  return shown.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
}

test('on a terminal with its output in a file: the result goes there, the steps are shown', needsTerminal, async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  const created = await operator.onTerminalInto('out', 'create', 'other/shop', 'branch-7');
  assert.equal(created.status, 0, created.shown);
  assert.equal(
    created.stdout,
    `URL: https://shop-7.test\nRepo: other/shop\nBranch: branch-7\nCommit: ${FIRST.slice(0, 8)}\n`,
  );
  assert.match(plainText(created.shown), /✔ running the app’s setup/);
});

test('on a terminal: steps that tick off with their times, in colour, and the result', needsTerminal, async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  const shown = await operator.onTerminal('create', 'other/shop', 'branch-7');
  assert.equal(shown.status, 0, shown.stdout);
  assert.ok(shown.stdout.includes('\u001b[32m'), 'there are colours');
  const text = plainText(shown.stdout);
  assert.match(text, /✔ running the app’s setup \(\d+\.\d s\)/);
  assert.match(text, /✔ switching the URL/);
  assert.match(text, /URL: https:\/\/shop-7\.test/);
  assert.doesNotMatch(text, /making the database|building the system/, 'the app has neither');

  operator.pull(7, SECOND, 'setup-fails');
  const failed = await operator.onTerminal('update', 'shop-7');
  assert.equal(failed.status, 1);
  assert.match(failed.stdout, /✖\S* running the app’s setup\r\n.*setup ended with status 1/);
  assert.match(failed.stdout, /SETUP_FAILED/);

  const destroyed = plainText((await operator.onTerminal('destroy', 'shop-7')).stdout);
  assert.match(destroyed, /✔ reading the pull request/);
  assert.doesNotMatch(destroyed, /setup|switching/, 'nothing of how it came up');
});
