/** What of a preview runs is found from the outside, in a sandbox or not: the demonstration and the tests count it as what is left. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { endProcessesBelow, processesBelow } from '../../../scripts/demo/processes.ts';
import { descendantsOf, isRunning } from '../../../webhook/adapters/runtimes/process/process-table.ts';
import { aProcessRuntime } from '../../support/a-process-runtime.ts';
import { waitUntil } from '../../support/wait-until.ts';

const signal = new AbortController().signal;

for (const useBubblewrap of [true, false]) {
  const how = useBubblewrap ? 'in bubblewrap' : 'without a sandbox';

  test(`supervisor and app are found and ended ${how}`, {
    skip: process.platform !== 'linux' && 'needs /proc',
  }, async (t) => {
    const { runtime, place, directory } = await aProcessRuntime(t, { useBubblewrap });
    if (useBubblewrap && !runtime.isSandboxed) return t.skip(`needs a working bubblewrap: ${runtime.describe()}`);
    const spec = await place('hello-node');
    await runtime.setUp(spec, signal);
    await runtime.start(spec, signal);
    const claim = JSON.parse(readFileSync(join(directory, spec.name, 'supervisor.json'), 'utf8')) as { pid: number };
    const isApp = (pid: number) => wordsOf(pid).endsWith('server.js');
    const all = () => descendantsOf(claim.pid);
    await waitUntil('the app runs', () => all().some(({ pid }) => isApp(pid)));
    const running = all();

    // Its command line alone does not say whose it is.
    const found = await processesBelow(directory);
    for (const { pid } of [...running, claim]) assert.ok(found.includes(pid), `${wordsOf(pid)} was not found`);
    assert.ok(!found.includes(process.pid));

    await endProcessesBelow(directory);
    assert.deepEqual(await processesBelow(directory), []);
    assert.deepEqual(running.filter(isRunning), []);
  });
}

function wordsOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
}

test('somebody at a terminal who looks at what is in there is left alone', {
  skip: process.platform !== 'linux' && 'needs /proc',
}, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'berth-look-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'operator.log'), 'a line\n');
  // It is the shell at the terminal that is told the path, and not who made the terminal.
  const reader = spawn('script', ['-qec', 'sh', '/dev/null'], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  reader.stdin.write(`tail -f ${join(directory, 'operator.log')}\n`);
  t.after(() => reader.kill('SIGKILL'));
  const tails = () => descendantsOf(reader.pid ?? 0).filter(({ pid }) => wordsOf(pid).startsWith('tail '));
  await waitUntil('it is read', () => tails().length === 1);
  const [tail] = tails();
  assert.ok(tail !== undefined && (await processesBelow(directory)).includes(tail.pid));
  await endProcessesBelow(directory);
  assert.ok(isRunning(tail));
});
