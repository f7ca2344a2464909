/** Starts supervisors, one ahead of time: Node takes longer to start than most of what a preview has to wait for. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SUPERVISOR_ERRORS_MAX_BYTES } from '../../../core/limits.ts';

const SUPERVISOR = fileURLToPath(new URL('./supervisor.ts', import.meta.url));

const ERRORS_SHOWN = 2_000;

/** A supervisor that waits for the path of its run.json on its input, and says one word about it on descriptor 3. */
export interface IdleSupervisor {
  readonly child: ChildProcess;
  /** Tells it what to run. It ends by itself when nobody ever does and we have gone. */
  assign(runPath: string): void;
  readonly words: Readable;
}

/** Gives supervisors away, each once, and has one stand by. */
export interface SupervisorStarter {
  /** One that nobody else has been given. */
  next(): IdleSupervisor;
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
  let following: NodeJS.Timeout | undefined;
  const standBy = () => {
    if (standby !== null) return;
    const supervisor = idleSupervisor(options);
    supervisor.child.once('exit', () => {
      if (standby === supervisor) standby = null;
    });
    standby = supervisor;
  };
  standBy();
  return {
    next() {
      const supervisor = standby ?? idleSupervisor(options);
      standby = null;
      clearTimeout(following);
      following = setTimeout(() => {
        try {
          standBy();
        } catch {
          // No descriptors or no directory, for example: whoever wants one next starts it, and hears why it cannot be.
        }
      }, FOLLOW_AFTER_MS).unref();
      return supervisor;
    },
    async close() {
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
  words.unref();
  // One that has ended says so on `words`, by saying nothing.
  input.on('error', () => {});
  child.on('error', () => words.destroy());
  return {
    child,
    words,
    assign(runPath) {
      words.ref();
      input.end(`${runPath}\n`);
    },
  };
}
