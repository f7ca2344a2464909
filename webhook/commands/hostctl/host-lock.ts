import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { exitStatus, HostctlFailure } from './failure.ts';

/**
 * Holds the host for one changing verb: two rebuilds at once would race for the boot loader and the profile.
 * The lock names its holder by pid and start time, so one left by a killed hostctl is taken over.
 *
 * @throws HostctlFailure `refused` when another hostctl is at work, or when the state directory cannot be written.
 */
export function takeHostLock(stateDirectory: string): Disposable {
  const path = join(stateDirectory, 'lock');
  try {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    createLock(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') {
      const holder = readFileSync(path, 'utf8').trim();
      if (holder !== '' && isAlive(holder)) {
        throw new HostctlFailure(
          exitStatus.refused,
          `another hostctl (pid ${holder.split(' ')[0]}) is changing this host`,
          'Wait for it to end, then run the command again.',
        );
      }
      rmSync(path, { force: true });
      createLock(path);
    } else {
      throw new HostctlFailure(
        exitStatus.refused,
        `cannot write ${stateDirectory} (${code})`,
        'Changing the host needs root: run it with sudo.',
      );
    }
  }
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

function createLock(path: string): void {
  const file = openSync(path, 'wx', 0o600);
  writeSync(file, `${process.pid} ${startTime(process.pid)}\n`);
  closeSync(file);
}

function isAlive(holder: string): boolean {
  const [pid, started] = holder.split(' ');
  return startTime(Number(pid)) === started;
}

/** Field 22 of /proc/<pid>/stat (proc(5)): clock ticks after boot; tells a process from a later one with its pid. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return 'gone';
  }
}
