/** A command in a sandbox like the app's own: the same files, user and limits, processes of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { OperatorError } from '../../../core/errors.ts';
import type { CommandInside, CommandStreams } from '../../../core/host-verbs.ts';
import { watchMemory } from './memory-watch.ts';
import { processOf } from './process-table.ts';
import { killTree } from './process-tree.ts';
import { launchFor, type SandboxOptions } from './sandbox.ts';

const MIB = 1024 * 1024;

/** Returns its status; 128 and the number of the signal that ended it, as shells do. Throws COMMAND_REFUSED. */
export async function runCommand(
  sandbox: SandboxOptions,
  command: CommandInside,
  { input, output, signal }: CommandStreams,
): Promise<number> {
  if (command.asRoot) throw refused('The process runtime has no root inside a preview.');
  if ('shell' in command && command.shell !== null)
    throw refused('The process runtime has no terminals: use `preview exec`, or pipe into `preview shell`.');
  signal.throwIfAborted();
  const launch = launchFor(sandbox, 'argv' in command ? command.argv : ['/bin/sh']);
  const [program, ...words] = launch.argv;
  const child = spawn(program, words, {
    cwd: launch.cwd,
    env: { ...launch.env },
    ...(launch.uid === null ? {} : { uid: launch.uid, gid: launch.uid }),
    detached: true,
  });
  const first = child.pid === undefined ? null : processOf(child.pid);
  const end = () => {
    if (first !== null) killTree(first);
  };
  const watch = watchMemory(() => (first === null ? [] : [first]), sandbox.limits.memoryMiB * MIB, killTree);
  signal.addEventListener('abort', end);
  try {
    // A command need not read what is typed.
    child.stdin.on('error', () => undefined);
    void pour(input, child.stdin).catch(end);
    const printed = (from: Readable, stream: 'stdout' | 'stderr') => forward(from, (chunk) => output(stream, chunk));
    const [[status, endedBy]] = await Promise.all([
      once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
      printed(child.stdout, 'stdout'),
      printed(child.stderr, 'stderr'),
    ]);
    signal.throwIfAborted();
    return status ?? 128 + (endedBy === null ? 0 : constants.signals[endedBy]);
  } finally {
    clearInterval(watch);
    signal.removeEventListener('abort', end);
  }
}

function refused(message: string): OperatorError {
  return new OperatorError('COMMAND_REFUSED', message);
}

async function pour(input: AsyncIterable<Buffer>, into: NodeJS.WritableStream): Promise<void> {
  for await (const chunk of input)
    if (!into.write(chunk)) await Promise.race([once(into, 'drain'), once(into, 'close')]);
  into.end();
}

async function forward(from: Readable, write: (chunk: Buffer) => Promise<void>): Promise<void> {
  for await (const chunk of from as AsyncIterable<Buffer>) await write(chunk);
}
