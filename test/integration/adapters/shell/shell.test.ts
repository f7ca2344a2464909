import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { localShell } from '../../../../webhook/adapters/shell/local-shell.ts';
import { separateShell } from '../../../../webhook/adapters/shell/separate-shell.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const options = { path: '/usr/local/bin:/usr/bin:/bin', home: '/' };
const compileCache = fs.mkdtempSync(join(tmpdir(), 'berth-shell-'));
const local = localShell(options);
const separate = separateShell({ ...options, compileCache });
after(async () => {
  await separate[Symbol.asyncDispose]();
  fs.rmSync(compileCache, { recursive: true });
});

/** A zombie (where PID 1 does not reap) runs no more. */
function isAlive(pid: number): boolean {
  const state = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
  return state !== '' && !state.startsWith('Z');
}

const STUBBORN = `trap '' TERM; sh -c 'trap "" TERM; echo $$; exec sleep 60 >/dev/null 2>&1' & wait; sleep 60`;

for (const [where, shell] of [
  ['in this process', local],
  ['in a process of its own', separate],
] as const) {
  suite(`commands ${where}`, () => {
    test('a status other than zero is a result', async () => {
      const result = await shell.run({ argv: ['sh', '-c', 'echo out; echo err >&2; exit 3'], timeoutMs: 5_000 });
      assert.deepEqual(result, { exitCode: 3, timedOut: false, stdout: 'out\n', stderr: 'err\n' });
    });

    test('words reach the program as they are, and stdin too', async () => {
      const words = ['$(id)', "it's", '', 'a b', '*', '-n'];
      const result = await shell.run({ argv: ['printf', '%s|', ...words], timeoutMs: 5_000 });
      assert.equal(result.stdout, `${words.join('|')}|`);
      const cat = await shell.run({ argv: ['cat'], stdin: Buffer.from('bytes in'), timeoutMs: 5_000 });
      assert.equal(cat.stdout, 'bytes in');
    });

    test('the environment is ours, and nothing of the operator’s', async () => {
      process.env['BERTH_TEST_CANARY'] = 'operator';
      try {
        const result = await shell.run({ argv: ['env'], env: { EXTRA: 'yes' }, timeoutMs: 5_000 });
        const names = result.stdout
          .trim()
          .split('\n')
          .map((line) => line.split('=')[0]);
        assert.deepEqual(new Set(names), new Set(['EXTRA', 'HOME', 'LANG', 'PATH']));
      } finally {
        delete process.env['BERTH_TEST_CANARY'];
      }
    });

    test('a program that is not there is RUNTIME_FAILED', async () => {
      await assert.rejects(shell.run({ argv: ['no-such-program-here'], timeoutMs: 5_000 }), {
        code: 'RUNTIME_FAILED',
        message: 'The program no-such-program-here could not be started.',
      });
    });

    test('output is bounded, its end is kept from a line on, and secrets are redacted', async () => {
      const script = 'i=0; while [ $i -lt 2000 ]; do echo "line $i s3cr3t-token"; i=$((i+1)); done';
      const result = await shell.run({
        argv: ['sh', '-c', script],
        timeoutMs: 20_000,
        secrets: ['s3cr3t-token'],
        outputMaxBytes: 1_000,
      });
      const lines = result.stdout.trimEnd().split('\n');
      assert.ok(result.stdout.length <= 1_000);
      assert.equal(lines.at(-1), 'line 1999 [redacted]');
      assert.match(lines[0] ?? '', /^line \d+ \[redacted\]$/);
    });

    test('a timeout ends the whole group, also what ignores SIGTERM', async () => {
      const result = await shell.run({ argv: ['sh', '-c', STUBBORN], timeoutMs: 200 });
      assert.equal(result.timedOut, true);
      const pid = Number(result.stdout);
      assert.ok(pid > 1);
      assert.equal(isAlive(pid), false);
    });

    test('an abort ends the whole group and rejects with its reason', async () => {
      const reason = new Error('superseded');
      const controller = new AbortController();
      const directory = await shell.run({ argv: ['mktemp', '-d'], timeoutMs: 5_000 });
      const file = `${directory.stdout.trim()}/pid`;
      const run = shell.run(
        { argv: ['sh', '-c', `sleep 60 & echo $! > "$1.new"; mv "$1.new" "$1"; wait`, 'sh', file], timeoutMs: 60_000 },
        controller.signal,
      );
      await waitUntil('the grandchild runs', () => fs.existsSync(file), 10_000);
      const pid = Number(fs.readFileSync(file, 'utf8'));
      controller.abort(reason);
      await assert.rejects(run, (error) => error === reason);
      assert.equal(isAlive(pid), false);
      await assert.rejects(
        shell.run({ argv: ['true'], timeoutMs: 1_000 }, controller.signal),
        (error) => error === reason,
      );
      fs.rmSync(directory.stdout.trim(), { recursive: true });
    });
  });
}

test('commands fail when the process that runs them is killed, and the next has a new one', async () => {
  const shell = separateShell({ ...options, compileCache });
  const parent = async () => {
    const { stdout } = await shell.run({ argv: ['sh', '-c', 'echo $PPID'], timeoutMs: 5_000 });
    return Number(stdout);
  };
  const first = await parent();
  const running = shell.run({ argv: ['sleep', '2'], timeoutMs: 60_000 });
  process.kill(first, 'SIGKILL');
  await assert.rejects(running, {
    code: 'RUNTIME_FAILED',
    message: 'The process that runs commands for the operator has ended.',
    detail: 'It ended with SIGKILL.',
  });
  const second = await parent();
  assert.notEqual(second, first);
  await shell[Symbol.asyncDispose]();
  assert.equal(isAlive(second), false);
});

test('what runs is ended when we go', async () => {
  const shell = separateShell({ ...options, compileCache });
  const file = join(compileCache, 'pid');
  const words = ['sh', '-c', 'echo $$ > "$1.new"; mv "$1.new" "$1"; sleep 60', 'sh', file] as const;
  const running = shell.run({ argv: words, timeoutMs: 60_000 });
  await waitUntil('the command runs', () => fs.existsSync(file), 10_000);
  await Promise.all([shell[Symbol.asyncDispose](), assert.rejects(running, { code: 'RUNTIME_FAILED' })]);
  assert.equal(isAlive(Number(fs.readFileSync(file, 'utf8'))), false);
});
