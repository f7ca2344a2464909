/** A program with all that starting it takes, and the start itself. The same for setup and for services. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface Launch {
  readonly argv: readonly [program: string, ...words: string[]];
  readonly cwd: string;
  /** The whole environment. It travels here and not in the word list, which other users of the machine can read. */
  readonly env: Readonly<Record<string, string>>;
  /** The user to become before the program starts; null keeps ours. */
  readonly uid: number | null;
  /** Whether the program is bubblewrap, with the app inside. */
  readonly isSandbox: boolean;
}

/** Starts it in a session and process group of its own, its output in pipes. */
export function launched(launch: Launch): ChildProcessByStdio<null, Readable, Readable> {
  const [program, ...words] = launch.argv;
  return spawn(program, words, {
    cwd: launch.cwd,
    env: { ...launch.env },
    ...(launch.uid === null ? {} : { uid: launch.uid, gid: launch.uid }),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
