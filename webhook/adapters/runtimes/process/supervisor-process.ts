/** Starts supervisors, one ahead of time: Node takes longer to start than most of what a preview has to wait for. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { SUPERVISOR_ERRORS_MAX_BYTES } from '../../../core/limits.ts';
import type { SetupEnd, SetupWork } from './setup-run.ts';
import type { Assignment } from './standby.ts';

const SUPERVISOR = fileURLToPath(new URL('./supervisor.ts', import.meta.url));

const ERRORS_SHOWN = 2_000;

/** A supervisor that waits for what it is to do on its input (standby.ts), and answers on descriptor 3. It ends by itself when we have gone. */
export interface IdleSupervisor {
  readonly child: ChildProcess;
  /** Has it run a setup. Null when it ended without an answer: it does when the signal comes, with all that the setup started. */
  setUp(work: SetupWork, signal: AbortSignal): Promise<SetupEnd | null>;
  /** Tells it which run.json to keep running, for good: it lives on without us. Its one word, empty when it ended without or nobody waits any more. */
  assign(runPath: string, signal: AbortSignal): Promise<string>;
}

/** Gives supervisors away, and has one stand by. */
export interface SupervisorStarter {
  /** One that nobody else has. */
  next(): IdleSupervisor;
  /** One that has done a setup stands by again. */
  giveBack(supervisor: IdleSupervisor): void;
  /** Ends the one that stands by, and has no other follow. It has gone when this resolves. */
  close(): Promise<void>;
  /** The end of what Node itself said when supervisors could not run; empty otherwise. */
  lastErrors(): string;
}

export interface SupervisorOptions {
  /** Keeps the stripped TypeScript: a start then takes 30 ms instead of 70. */
  readonly compileCache: string;
  /** What Node itself says when a supervisor cannot run. */
  readonly errors: string;
}

/**
 * One that was given away is followed by another when the preview that it was for has had time to start: until then they would compete for the
 * processor.
 */
const FOLLOW_AFTER_MS = 500;

/** `options.errors` is made when it is not there, and begun anew by a start that finds it large. */
export function supervisorStarter(options: SupervisorOptions): SupervisorStarter {
  let standby: IdleSupervisor | null = null;
  let isClosed = false;
  let following: NodeJS.Timeout | undefined;
  const standBy = (supervisor: IdleSupervisor) => {
    supervisor.child.once('exit', () => {
      if (standby === supervisor) standby = null;
    });
    standby = supervisor;
  };
  standBy(idleSupervisor(options));
  return {
    next() {
      const supervisor = standby ?? idleSupervisor(options);
      standby = null;
      clearTimeout(following);
      following = setTimeout(() => {
        try {
          if (standby === null) standBy(idleSupervisor(options));
        } catch {
          // No descriptors or no directory, for example: whoever wants one next starts it, and hears why it cannot be.
        }
      }, FOLLOW_AFTER_MS).unref();
      return supervisor;
    },
    giveBack(supervisor) {
      if (standby !== null || isClosed) {
        supervisor.child.kill('SIGKILL');
        return;
      }
      clearTimeout(following);
      standBy(supervisor);
    },
    async close() {
      isClosed = true;
      clearTimeout(following);
      const child = standby?.child;
      standby = null;
      if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.ref();
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
    lastErrors: () => readFileSync(options.errors, 'utf8').slice(-ERRORS_SHOWN),
  };
}

function idleSupervisor({ compileCache, errors: errorsPath }: SupervisorOptions): IdleSupervisor {
  const size = statSync(errorsPath, { throwIfNoEntry: false })?.size ?? 0;
  // Supervisors that run append to it: what they say afterwards stands at its beginning.
  if (size > SUPERVISOR_ERRORS_MAX_BYTES) truncateSync(errorsPath);
  const errors = openSync(errorsPath, 'a', 0o600);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SUPERVISOR], {
    cwd: '/',
    env: { NODE_COMPILE_CACHE: compileCache },
    detached: true,
    stdio: ['pipe', 'ignore', errors, 'pipe'],
  });
  closeSync(errors);
  // It is meant to outlive us once it has something to do, and must not keep us until then.
  child.unref();
  const input = child.stdin as Socket;
  const words = child.stdio[3] as Socket;
  input.unref();
  words.setEncoding('utf8').unref();
  // One that has ended says so on `words`, by saying nothing.
  input.on('error', () => {});
  child.on('error', () => words.destroy());
  const told = (assigned: Assignment) => `${JSON.stringify(assigned)}\n`;
  return {
    child,
    async setUp(setup, signal) {
      input.write(told({ setup }));
      const dismiss = () => input.destroy();
      signal.addEventListener('abort', dismiss, { once: true });
      const answer = await nextLine(words);
      signal.removeEventListener('abort', dismiss);
      return answer === '' ? null : (JSON.parse(answer) as SetupEnd);
    },
    async assign(run, signal) {
      input.end(told({ run }));
      try {
        return await nextLine(words, signal);
      } finally {
        words.destroy();
      }
    },
  };
}

/** Empty when the stream ends without one, or the signal comes first. Keeps us alive until then, and only until then. */
function nextLine(stream: Socket, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const end = () => {
      signal?.removeEventListener('abort', end);
      stream.off('data', add).off('close', end).pause().unref();
      resolve(text.trim());
    };
    const add = (chunk: string) => {
      text += chunk;
      if (text.endsWith('\n')) end();
    };
    if (stream.destroyed || signal?.aborted === true) return resolve('');
    signal?.addEventListener('abort', end, { once: true });
    stream.on('data', add).on('close', end).ref().resume();
  });
}
