/** Processes that belong to a directory, found from the outside: by what the system says of each, not by what anybody wrote down. */
import { execFile, execFileSync } from 'node:child_process';
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { ended, processOf, send } from '../../webhook/adapters/runtimes/process/process-table.ts';

/** Supervisors end their services in order, and PostgreSQL its own. */
const TERM_GRACE_MS = 8_000;
const KILL_WAIT_MS = 5_000;

/**
 * Pids of all that works below the directory, was told of something in it, or sees a part of it from a sandbox: in there an app is `node server.js` in
 * `/app`, and only its mounts tell whose. What begins with a dot right below the directory does not count: it is nobody's in particular.
 */
export async function processesBelow(directory: string): Promise<number[]> {
  const names = await readdir('/proc').catch(() => null);
  const pids = names === null ? await pidsOfPs(directory) : await pidsOfProc(names, directory);
  return pids.filter((pid) => pid !== process.pid && processOf(pid) !== null);
}

/**
 * SIGTERM to all of them that are nobody's at a terminal, and SIGKILL to what still runs after a while. Supervisors, apps and PostgreSQL have sessions of their own,
 * without a terminal; who reads a log in there, or has gone there with a shell, has one.
 */
export async function endProcessesBelow(directory: string): Promise<void> {
  await tellAll(directory, 'SIGTERM', TERM_GRACE_MS);
  await tellAll(directory, 'SIGKILL', KILL_WAIT_MS);
}

async function tellAll(directory: string, signal: NodeJS.Signals, waitMs: number): Promise<void> {
  const pids = await processesBelow(directory);
  const found = pids.filter((pid) => !hasTerminal(pid)).flatMap((pid) => processOf(pid) ?? []);
  for (const each of found) send(each, signal);
  const deadline = Date.now() + waitMs;
  for (const each of found) await ended(each, deadline - Date.now());
}

function hasTerminal(pid: number): boolean {
  try {
    return (
      execFileSync('ps', ['-o', 'tty=', '-p', String(pid)], { encoding: 'utf8' })
        .trim()
        .replaceAll('?', '') !== ''
    );
  } catch {
    // It has ended.
    return false;
  }
}

async function pidsOfPs(directory: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,command=']);
  const lines = stdout.split('\n').filter((line) => mentions(line, directory));
  return lines.map((line) => Number.parseInt(line, 10));
}

async function pidsOfProc(names: readonly string[], directory: string): Promise<number[]> {
  const real = await realpath(directory).catch(() => directory);
  const place = await placeOnItsDisk(real);
  const isBelow = async (pid: number): Promise<boolean> => {
    const text = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
    if (mentions(await text('cmdline'), directory) || mentions(await text('environ'), directory)) return true;
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (mentions(cwd, real)) return true;
    const mounts = mountsFrom(await text('mountinfo'));
    return place !== null && mounts.some(({ device, root }) => device === place.device && mentions(root, place.root));
  };
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const answers = await Promise.all(pids.map(isBelow));
  return pids.filter((_, at) => answers[at] === true);
}

/** Whether the text has a path below the directory, but for those with a dot. */
function mentions(text: string, directory: string): boolean {
  return text
    .split(`${directory}/`)
    .slice(1)
    .some((rest) => rest !== '' && !rest.startsWith('.'));
}

interface Mount {
  readonly device: string;
  /** What of the device is mounted. */
  readonly root: string;
  /** Where. */
  readonly at: string;
}

/** proc_pid_mountinfo(5). */
function mountsFrom(mountinfo: string): Mount[] {
  // A space in a path is written as its octal number.
  const path = (field: string) => field.replaceAll('\\040', ' ');
  return mountinfo
    .split('\n')
    .map((line) => line.split(' '))
    .map(([, , device = '', root = '', at = '']) => ({ device, root: path(root), at: path(at) }));
}

/** The directory as mounts of other processes name it: by the device, and the path on that. */
async function placeOnItsDisk(directory: string): Promise<Pick<Mount, 'device' | 'root'> | null> {
  const around = mountsFrom(await readFile('/proc/self/mountinfo', 'utf8').catch(() => ''))
    .filter(({ at }) => at !== '' && (at === '/' || directory === at || directory.startsWith(`${at}/`)))
    .toSorted((a, b) => a.at.length - b.at.length)
    .at(-1);
  return around === undefined
    ? null
    : { device: around.device, root: join(around.root, relative(around.at, directory)) };
}
