/** The Shell port on this machine, over execa. */
import { execa, type Options } from 'execa';
import { OperatorError } from '../../core/errors.ts';
import { SHELL_KILL_GRACE_MS, SHELL_OUTPUT_MAX_BYTES } from '../../core/limits.ts';
import type { Shell, ShellCommand, ShellResult } from '../../ports.ts';
import { OutputTail } from './output-tail.ts';
import { killGroup } from './process-group.ts';
import { redacted } from './redaction.ts';

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
  const [program, ...words] = command.argv;
  const stdout = new OutputTail(command.outputMaxBytes ?? SHELL_OUTPUT_MAX_BYTES);
  const stderr = new OutputTail(command.outputMaxBytes ?? SHELL_OUTPUT_MAX_BYTES);
  const subprocess = execa(program, words, {
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    ...(command.stdin === undefined ? { stdin: 'ignore' } : { input: command.stdin }),
    ...(signal === undefined ? {} : { cancelSignal: signal }),
    env: { PATH: options.path, HOME: options.home, LANG: 'C.UTF-8', ...command.env },
    extendEnv: false,
    // The whole group gets the signals: a git or npm that is ended must not leave its children behind.
    killDescendants: true,
    forceKillAfterDelay: SHELL_KILL_GRACE_MS,
    timeout: command.timeoutMs,
    reject: false,
    buffer: false,
  } satisfies Options);
  subprocess.stdout?.on('data', (chunk: Buffer) => stdout.add(chunk));
  subprocess.stderr?.on('data', (chunk: Buffer) => stderr.add(chunk));
  const result = await subprocess;

  if (subprocess.pid === undefined) throw notStarted(program, command, result.cause);
  // Execa waits for its own child only; a grandchild that ignores SIGTERM would outlive it.
  if (result.isCanceled || result.timedOut) await killGroup(subprocess.pid, SHELL_KILL_GRACE_MS);
  if (result.isCanceled) signal?.throwIfAborted();
  const secrets = command.secrets ?? [];
  return {
    exitCode: result.exitCode ?? null,
    timedOut: result.timedOut,
    stdout: redacted(stdout.text(), secrets),
    stderr: redacted(stderr.text(), secrets),
  };
}

function notStarted(program: string, command: ShellCommand, cause: unknown): OperatorError {
  const why = cause instanceof Error ? redacted(cause.message, command.secrets ?? []) : 'unknown reason';
  return new OperatorError('RUNTIME_FAILED', `The program ${program} could not be started.`, { detail: why });
}
