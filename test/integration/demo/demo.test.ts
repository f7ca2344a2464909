/** The demonstration, stopped in the middle: nothing of it may be left on the machine, whatever it was doing and however it was stopped. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { endProcessesBelow, processesBelow } from '../../../scripts/demo/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';

const DEMO = join(import.meta.dirname, '../../../scripts/demo.ts');
/** Other test files run beside it. */
const PATIENCE_MS = 180_000;
const HAS_SCRIPT = String(spawnSync('script', ['--version']).stdout).includes('util-linux');

interface RunningDemo {
  readonly child: ChildProcess;
  /** For its temporary files. */
  readonly directory: string;
  /** Resolves once it has said this so many times. */
  said(text: string, times?: number): Promise<void>;
  /** Resolves once it has ended with this status and nothing is left. */
  endedCleanly(status: number): Promise<void>;
}

/** With a folder of its own for temporary files; `inTerminal` puts a pseudo terminal around it. */
function aDemo(t: TestContext, words: readonly string[], inTerminal = false): RunningDemo {
  const directory = mkdtempSync(join(tmpdir(), 'berth-test-'));
  chmodSync(directory, 0o711);
  const demo = [process.execPath, DEMO, ...words];
  const [program = '', ...rest] = inTerminal ? ['script', '-qec', demo.join(' '), '/dev/null'] : demo;
  const child = spawn(program, rest, { env: { ...process.env, TMPDIR: directory, NO_COLOR: '1' } });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  t.after(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    await endProcessesBelow(directory);
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  return {
    child,
    directory,
    said: (text, times = 1) =>
      waitUntil(
        () => `${text} in:\n${output}`,
        () => output.split(text).length > times,
        PATIENCE_MS,
      ),
    async endedCleanly(status) {
      if (child.exitCode === null) await once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE_MS) });
      assert.equal(child.exitCode, status, output);
      await waitUntil(`nothing is left in ${directory}`, () => readdirSync(directory).length === 0, PATIENCE_MS);
      assert.deepEqual(await processesBelow(directory), []);
    },
  };
}

test('stopped while the operator starts, it ends and leaves nothing', async (t) => {
  const demo = aDemo(t, ['--once']);
  // PostgreSQL is being made or runs: there is something to leave.
  await waitUntil(
    'the operator is starting',
    () => readdirSync(demo.directory, { recursive: true }).some((name) => String(name).endsWith('postgres')),
    PATIENCE_MS,
  );
  demo.child.kill('SIGTERM');
  await demo.endedCleanly(1);
});

test('stopped under load, with a preview that runs, it leaves neither the app nor PostgreSQL', async (t) => {
  const demo = aDemo(t, ['--once']);
  await demo.said('pushed a commit');
  demo.child.kill('SIGINT');
  await demo.endedCleanly(1);
});

test('keys are heard all the time; what cannot be now is refused', {
  skip: !HAS_SCRIPT && 'needs script of util-linux',
}, async (t) => {
  const demo = aDemo(t, ['--port', '0'], true);
  await demo.said('q ends the demonstration');
  const press = (key: string) => demo.child.stdin?.write(key);
  press('o');
  await demo.said('Not now: the pull request is open');
  press('c');
  await demo.said('pull request closed; nothing is left');
  await demo.said('0 preview records');
  press('p');
  await demo.said('Not now: the pull request is closed');
  press('o');
  await demo.said('reopened; the preview answers');
  press('p');
  press('c');
  await demo.said('Not now: a commit is being pushed');
  press('\u0003');
  await demo.said('Ctrl-C: everything is stopped and removed');
  await demo.endedCleanly(0);
});

test('a terminal that is closed takes all of it along', {
  skip: !HAS_SCRIPT && 'needs script of util-linux',
}, async (t) => {
  const demo = aDemo(t, ['--port', '0'], true);
  await demo.said('q ends the demonstration');
  const ended = once(demo.child, 'exit');
  demo.child.kill('SIGKILL');
  await ended;
  await waitUntil('nothing is left', () => readdirSync(demo.directory).length === 0, PATIENCE_MS);
  assert.deepEqual(await processesBelow(demo.directory), []);
});
