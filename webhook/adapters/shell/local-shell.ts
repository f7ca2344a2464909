/** The Shell port on this machine. Over Node itself: execa adds 5 ms to a command of 8 on a busy core, and opening a preview runs seven of them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { OperatorError } from '../../core/errors.ts';
import { SHELL_KILL_GRACE_MS, SHELL_OUTPUT_MAX_BYTES } from '../../core/limits.ts';
import { redacted } from '../../core/redaction.ts';
import type { Shell, ShellCommand, ShellResult } from '../../ports.ts';
import { OutputTail } from './output-tail.ts';
import { killGroup, sendToGroup } from './process-group.ts';

export interface LocalShellOptions {
  /** PATH of every command. */
  readonly path: string;
  /** HOME of every command. */
  readonly home: string;
}

/** Runs commands here, each in a process group of its own, with PATH, HOME, LANG and what the command names as its whole environment. */
export function localShell(options: LocalShellOptions): Shell {
  return { run: (command, signal) => runCommand(options, command, signal) };
}

async function runCommand(
  options: LocalShellOptions,
  command: ShellCommand,
  signal: AbortSignal | undefined,
): Promise<ShellResult> {
  signal?.throwIfAborted();
  const stdout = new OutputTail(command.outputMaxBytes ?? SHELL_OUTPUT_MAX_BYTES);
  const stderr = new OutputTail(command.outputMaxBytes ?? SHELL_OUTPUT_MAX_BYTES);
  const child = started(options, command);
  child.stdout?.on('data', (chunk: Buffer) => stdout.add(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.add(chunk));
  // A command need not read what it is given.
  child.stdin?.on('error', () => undefined).end(command.stdin);
  let ending: Promise<void> | undefined;
  let timedOut = false;
  const end = () => {
    ending ??= endGroupOf(child);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, command.timeoutMs);
  signal?.addEventListener('abort', end);
  try {
    const [exitCode] = (await once(child, 'close')) as [number | null];
    await ending;
    signal?.throwIfAborted();
    const secrets = command.secrets ?? [];
    return { exitCode, timedOut, stdout: redacted(stdout.text(), secrets), stderr: redacted(stderr.text(), secrets) };
  } catch (error) {
    signal?.throwIfAborted();
    throw notStarted(command, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
  }
}

/** In a group of its own: a git or npm that is ended must not leave its children behind. */
function started(options: LocalShellOptions, command: ShellCommand): ChildProcess {
  const [program, ...words] = command.argv;
  try {
    return spawn(program, words, {
      cwd: command.cwd,
      env: { PATH: options.path, HOME: options.home, LANG: 'C.UTF-8', ...command.env },
      detached: true,
      stdio: [command.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
  } catch (error) {
    throw notStarted(command, error);
  }
}

/** Asks the program to end, and then ends all that it started, which may ignore that. */
async function endGroupOf(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const exited = once(child, 'exit', { signal: AbortSignal.timeout(SHELL_KILL_GRACE_MS) });
  sendToGroup(child.pid, 'SIGTERM');
  await exited.catch(() => undefined);
  await killGroup(child.pid, SHELL_KILL_GRACE_MS);
  // What has left the group may still hold the other end.
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function notStarted(command: ShellCommand, cause: unknown): OperatorError {
  const why = cause instanceof Error ? redacted(cause.message, command.secrets ?? []) : 'unknown reason';
  return new OperatorError('RUNTIME_FAILED', `The program ${command.argv[0]} could not be started.`, { detail: why });
}
