/** Previews outlive their operator, and nothing outlives its preview, whoever is killed when. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { InstanceSpec } from '../../../../webhook/ports.ts';
import { aProcessRuntime, processesMentioning } from '../../../support/a-process-runtime.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const signal = new AbortController().signal;
const OPERATOR = fileURLToPath(new URL('../../../support/one-start-operator.ts', import.meta.url));

/** Starts (or sets up) an instance from another process and kills that one with SIGKILL as soon as it says so. */
async function byAnOperatorThatIsKilled(
  directory: string,
  useBubblewrap: boolean,
  verb: 'start' | 'setUp',
  spec: InstanceSpec,
  when: (operator: { said(word: string): boolean }) => boolean | Promise<boolean>,
): Promise<void> {
  const operator = spawn(process.execPath, [OPERATOR, directory, String(useBubblewrap), verb, JSON.stringify(spec)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  operator.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise((resolve) => operator.once('exit', resolve));
  await waitUntil(
    () => `the operator was to be killed; it said: ${output}`,
    () => when({ said: (word) => output.includes(word) }),
  );
  operator.kill('SIGKILL');
  await ended;
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  );
}

/** Whether the setup of the app `setup-hangs` has got to where it does. */
function hangs(directory: string, spec: InstanceSpec): boolean {
  const log = join(directory, spec.name, 'logs', 'setup.log');
  return existsSync(log) && readFileSync(log, 'utf8').includes('waiting');
}

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // proc(5): after the last parenthesis come state and ppid.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

for (const useBubblewrap of [true, false]) {
  const how = useBubblewrap ? 'in bubblewrap' : 'without a sandbox';

  test(`an instance lives on when its operator is killed, and the next one finds it ${how}`, async (t) => {
    const { runtime, place, directory } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('hello-node');
    await byAnOperatorThatIsKilled(directory, useBubblewrap, 'start', spec, (operator) => operator.said('done'));
    assert.equal((await runtime.observe(spec.name))?.running, true);
    const upstream = runtime.upstreamsOf(spec)['3000'];
    await waitUntil('it answers', () => answers(`http://${upstream?.address}:${upstream?.port}/health`));
    await runtime.start(spec, signal);
    await runtime.remove(spec.name);
    assert.deepEqual(processesMentioning(`${spec.name}@`), []);
    await runtime.close();
    // The supervisor that stood by for the killed operator ends when it sees that it is alone.
    await waitUntil('no process is left', () => processesMentioning(directory).length === 0);
  });

  test(`a setup does not outlive its operator for long ${how}`, async (t) => {
    const { runtime, place, directory } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('setup-hangs');
    await byAnOperatorThatIsKilled(directory, useBubblewrap, 'setUp', spec, () => hangs(directory, spec));
    if (useBubblewrap)
      await waitUntil('the sandbox has died with it', () => processesMentioning(`${spec.name}@`).length === 0);
    // Without a sandbox the next one ends it, before anything else of the instance is done.
    await runtime.stop(spec.name);
    assert.deepEqual(processesMentioning(`${spec.name}@`), []);
  });

  test(`a setup whose own supervisor is killed has failed with all that it started, and the next has another ${how}`, async (t) => {
    const { runtime, place, directory } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('setup-hangs');
    const failed = assert.rejects(runtime.setUp(spec, signal), {
      code: 'RUNTIME_FAILED',
      message: 'The process that ran the setup has ended.',
    });
    await waitUntil('the setup hangs', () => hangs(directory, spec));
    const pids = processesMentioning(`${spec.name}@`).map((each) => Number(each.split(' ')[0]));
    const supervisor = pids.map(parentOf).find((parent) => !pids.includes(parent));
    assert.ok(supervisor !== undefined && supervisor > 1);
    process.kill(supervisor, 'SIGKILL');
    await failed;
    assert.deepEqual(processesMentioning(`${spec.name}@`), []);
    await runtime.setUp(await place('hello-node'), signal);
  });

  test(`a supervisor that is killed leaves nothing that a new start, a stop or a remove would not see ${how}`, async (t) => {
    const { runtime, place, directory } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('two-services');
    const killSupervisor = () => {
      const claim = JSON.parse(readFileSync(join(directory, spec.name, 'supervisor.json'), 'utf8')) as { pid: number };
      process.kill(claim.pid, 'SIGKILL');
    };
    const isRunning = async () => (await runtime.observe(spec.name))?.running;
    const upstream = runtime.upstreamsOf(spec)['3000'];
    const url = `http://${upstream?.address}:${upstream?.port}/`;
    await runtime.start(spec, signal);
    await waitUntil('it answers', () => answers(url));
    killSupervisor();
    await waitUntil('it is seen not to run', async () => (await isRunning()) === false);
    if (useBubblewrap)
      await waitUntil('the sandboxes have died with it', () => processesMentioning(`${spec.name}@`).length === 0);
    await runtime.start(spec, signal);
    assert.equal(await isRunning(), true);
    await waitUntil('the new one answers: the port is free', () => answers(url));
    killSupervisor();
    await runtime.stop(spec.name);
    assert.deepEqual(processesMentioning(`${spec.name}@`), []);
    await runtime.start(spec, signal);
    killSupervisor();
    await runtime.remove(spec.name);
    assert.deepEqual(processesMentioning(`${spec.name}@`), []);
    assert.equal(await runtime.observe(spec.name), null);
  });
}

test('a claim of a process that has its number by chance does not count', async (t) => {
  const { runtime, place, directory } = await aProcessRuntime(t);
  const spec = await place('hello-node');
  writeFileSync(
    join(directory, spec.name, 'supervisor.json'),
    JSON.stringify({ pid: process.pid, startedAt: 'long ago' }),
  );
  assert.equal((await runtime.observe(spec.name))?.running, false);
  await runtime.stop(spec.name);
  await runtime.start(spec, signal);
  assert.equal((await runtime.observe(spec.name))?.running, true);
});

test('an instance whose directory somebody deletes ends by itself', async (t) => {
  const { runtime, place, directory } = await aProcessRuntime(t);
  const spec = await place('hello-node');
  await runtime.start(spec, signal);
  rmSync(join(directory, spec.name), { recursive: true });
  await waitUntil('its services have ended', () => processesMentioning(`${spec.name}@`).length === 0);
  await waitUntil('its supervisor has ended', () => processesMentioning(`${directory}/${spec.name}`).length === 0);
});
