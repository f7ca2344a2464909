/** Runs the host's programs: word lists only, bounded in time and output, each in a process group that ends with the request. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { OperatorError } from '../core/errors.ts';

/** Most of what hostd runs takes milliseconds; starting a guest may take the unit's TimeoutStartSec of 60 s. */
const timeoutDefaultMs = 20_000;
const outputMaxBytes = 1024 * 1024;

export type Argv = readonly [program: string, ...words: string[]];

/** How a program ended; of each stream the last mebibyte. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
  readonly input?: string;
}

/** Nothing of hostd's own environment reaches a program; NixOS keeps its programs elsewhere than Debian. */
export const environment = {
  PATH: '/run/wrappers/bin:/run/current-system/sw/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
  // Root would else open the store itself, and make it writable for that.
  NIX_REMOTE: 'daemon',
};

/** Starts a program in a group of its own, which whoever starts it has to end. The host’s environment and ours stay out. */
export function start(argv: Argv, options: SpawnOptions = {}): ChildProcess {
  const [program, ...words] = argv;
  return spawn(program, words, { env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'], ...options });
}

/** Sends the signal to the program and all that it started. One that has ended is no error. */
export function endGroup(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // Already gone.
  }
}

/** Waits for the program. A status other than 0 is a result; 124 when the time was over. Rejects when the signal fires. */
export async function run(argv: Argv, options: RunOptions = {}): Promise<Outcome> {
  options.signal?.throwIfAborted();
  const child = start(argv, { stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] = (output[stream] + text).slice(-outputMaxBytes);
    });
  }
  let timedOut = false;
  const end = () => endGroup(child);
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, options.timeoutMs ?? timeoutDefaultMs);
  options.signal?.addEventListener('abort', end);
  try {
    child.stdin?.on('error', () => undefined).end(options.input);
    const [status] = (await once(child, 'close')) as [number | null];
    options.signal?.throwIfAborted();
    return { ...output, status: timedOut ? 124 : (status ?? 255) };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', end);
  }
}

/** As run, but a failure is a RUNTIME_FAILED with the last lines that the program printed. */
export async function must(argv: Argv, options: RunOptions = {}): Promise<string> {
  const outcome = await run(argv, options);
  if (outcome.status === 0) return outcome.stdout;
  throw new OperatorError('RUNTIME_FAILED', `${argv[0]} ${argv[1] ?? ''} failed on the host.`, {
    detail: `${argv.join(' ')}: status ${outcome.status}\n${(outcome.stderr || outcome.stdout).slice(-2_000)}`,
  });
}

/** Output of two programs joined by a pipe; both must end well. */
export async function mustPipe(
  first: { argv: Argv } & SpawnOptions,
  second: { argv: Argv } & SpawnOptions,
): Promise<void> {
  const reader = start(second.argv, { ...second, stdio: ['pipe', 'ignore', 'pipe'] });
  const writer = start(first.argv, { ...first, stdio: ['ignore', reader.stdin ?? 'ignore', 'pipe'] });
  // Only the two programs may hold the pipe, or the reader would never see its end.
  reader.stdin?.destroy();
  let text = '';
  for (const child of [writer, reader]) child.stderr?.setEncoding('utf8').on('data', (more: string) => (text += more));
  const [[written], [read]] = (await Promise.all([once(writer, 'close'), once(reader, 'close')])) as [
    [number],
    [number],
  ];
  if (written === 0 && read === 0) return;
  throw new OperatorError('RUNTIME_FAILED', 'The files of the instance could not be placed in its container.', {
    detail: text.slice(-2_000),
  });
}

/** Hands on each line of a program's output until it ends or the signal fires. */
export async function eachLine(
  { argv, ...options }: { argv: Argv } & SpawnOptions,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<void> {
  if (signal.aborted) return;
  const child = start(argv, { ...options, stdio: ['ignore', 'pipe', 'ignore'] });
  if (child.stdout === null) return;
  const { stdout } = child;
  const lines = createInterface({ input: stdout });
  const end = () => {
    endGroup(child);
    // What the program started inside a guest has the other end, and ends when ours is closed.
    lines.close();
    stdout.destroy();
  };
  signal.addEventListener('abort', end);
  try {
    for await (const line of lines) onLine(line);
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}
