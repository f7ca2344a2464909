/** The app's setup command: run once in the sandbox, written to its log, ended with everything that it started. Runs in a supervisor's process (standby.ts). */
import { FAILURE_TAIL_LINES } from '../../../core/limits.ts';
import { launched, type Launch } from './launch.ts';
import { LogFile } from './log-files.ts';
import { watchMemory } from './memory-watch.ts';
import { processOf } from './process-table.ts';
import { killTree } from './process-tree.ts';

/** Name of the setup's log among those of the services. */
const SETUP_SOURCE = 'setup';

export interface SetupWork {
  readonly launch: Launch;
  /** Directory of the instance's logs. */
  readonly logs: string;
  readonly timeoutMs: number;
  readonly memoryMaxBytes: number;
}

export type SetupEnd =
  | { readonly kind: 'done' }
  /** `how` completes "the setup command …". */
  | { readonly kind: 'failed' | 'timed-out'; readonly how: string; readonly lastLines: string };

/** Resolves when the command has ended, however it did; nothing of it runs any more. Null: the signal ended it. */
export async function runSetup(work: SetupWork, signal: AbortSignal): Promise<SetupEnd | null> {
  const tail: string[] = [];
  const log = new LogFile(work.logs, SETUP_SOURCE, {
    anew: true,
    onLine: (line) => {
      tail.push(line);
      if (tail.length > FAILURE_TAIL_LINES) tail.shift();
    },
  });
  const end = await endOf(work, log, AbortSignal.any([signal, AbortSignal.timeout(work.timeoutMs)]));
  if (end.kind === 'status' && end.status === 0) {
    log.close();
    return { kind: 'done' };
  }
  const how = howItEnded(end, work.timeoutMs, signal.aborted);
  log.flush();
  const lastLines = tail.join('\n');
  log.note(how);
  log.close();
  if (signal.aborted) return null;
  return { kind: end.kind === 'ended-by-us' ? 'timed-out' : 'failed', how, lastLines };
}

type End =
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'signal'; readonly signal: string }
  | { readonly kind: 'not-started'; readonly why: string }
  | { readonly kind: 'ended-by-us' };

function howItEnded(end: End, timeoutMs: number, isAborted: boolean): string {
  switch (end.kind) {
    case 'status':
      return `ended with status ${end.status}`;
    case 'signal':
      return `was ended by ${end.signal}`;
    case 'not-started':
      return `could not be started: ${end.why}`;
    case 'ended-by-us':
      return isAborted
        ? 'was ended, because its work is not needed any more'
        : `did not end within ${timeoutMs / 1_000} s`;
  }
}

async function endOf({ launch, memoryMaxBytes }: SetupWork, log: LogFile, signal: AbortSignal): Promise<End> {
  const child = launched(launch);
  const first = child.pid === undefined ? null : processOf(child.pid);
  log.follow(child.stdout);
  log.follow(child.stderr);
  const onAbort = () => {
    if (first !== null) killTree(first);
    // A process outside of the tree may still hold the pipes.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const watch = watchMemory(
    () => (first === null ? [] : [first]),
    memoryMaxBytes,
    (largest, text) => {
      log.note(text);
      killTree(largest);
    },
  );
  try {
    return await new Promise<End>((resolve) => {
      child.once('error', (error) => resolve({ kind: 'not-started', why: error.message }));
      child.once('exit', () => {
        // What it left in the background goes with it; a setup is not a place to start services. The kernel ends what was in a sandbox.
        if (first !== null && !launch.isSandbox) killTree(first);
      });
      child.once('close', (status, signalName) => {
        if (signal.aborted) resolve({ kind: 'ended-by-us' });
        else if (signalName !== null) resolve({ kind: 'signal', signal: signalName });
        else resolve({ kind: 'status', status: status ?? 1 });
      });
    });
  } finally {
    clearInterval(watch);
    signal.removeEventListener('abort', onAbort);
  }
}
