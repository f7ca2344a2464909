/** Processes of this machine. A pid alone names nothing for long: with the time of its start it does. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** One process, for ever: its pid and, opaque, when it started (on Linux the boot and the ticks since; elsewhere the date). */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startedAt: string;
}

interface ProcessRow extends ProcessIdentity {
  readonly parent: number;
  readonly group: number;
}

const isLinux = process.platform === 'linux';

/** Null when it runs no more; a zombie does not run. */
export function processOf(pid: number): ProcessIdentity | null {
  const row = rowOf(pid);
  return row === null ? null : { pid: row.pid, startedAt: row.startedAt };
}

export function isRunning(identity: ProcessIdentity): boolean {
  return rowOf(identity.pid)?.startedAt === identity.startedAt;
}

/** Everything below the process, nearest first, without itself. */
export function descendantsOf(pid: number): ProcessIdentity[] {
  const rows = allRows();
  const found: ProcessRow[] = [];
  for (let parents = new Set([pid]); parents.size > 0; ) {
    const children = rows.filter((row) => parents.has(row.parent));
    found.push(...children);
    parents = new Set(children.map((row) => row.pid));
  }
  return found;
}

/**
 * Bytes of memory that the process and everything below it have for themselves: what they share with others (the programs' own code) is not
 * counted. Null where the system does not say (not Linux, or a kernel without CONFIG_PROC_CHILDREN). Reads only the tree's own files, so it
 * may be asked every second.
 */
export function memoryOf(first: ProcessIdentity): number | null {
  if (!isLinux || textOf(`/proc/${process.pid}/task/${process.pid}/children`, null) === null) return null;
  let pages = 0;
  const pids = [first.pid];
  for (let pid = pids.pop(); pid !== undefined; pid = pids.pop()) {
    const [, resident = 0, shared = 0] = textOf(`/proc/${pid}/statm`).split(' ').map(Number);
    pages += resident - shared;
    for (const thread of namesIn(`/proc/${pid}/task`)) {
      const children = textOf(`/proc/${pid}/task/${thread}/children`).trim();
      if (children !== '') pids.push(...children.split(' ').map(Number));
    }
  }
  return pages * PAGE_BYTES;
}

/** Of every architecture that we run on, as configured by the distributions; 16 or 64 KiB pages would only make the figure too small. */
const PAGE_BYTES = 4_096;

/** Everything that was started with the variable set to this value, and what it started, unless it cleared its environment. Linux. */
export function processesWith(name: string, value: string): ProcessIdentity[] {
  const entry = `${name}=${value}`;
  return allRows().filter((row) => environmentOf(row.pid).includes(entry));
}

/** Everything in the process group. */
export function processesInGroup(group: number): ProcessIdentity[] {
  return allRows().filter((row) => row.group === group);
}

/** Sends the signal unless the process has gone or is another one by now. */
export function send(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether it ended in that time. Looked at often at first, because most end at once. */
export async function ended(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  for (let pauseMs = 2; isRunning(identity); pauseMs = Math.min(50, pauseMs * 2)) {
    if (Date.now() >= deadline) return false;
    await sleep(pauseMs);
  }
  return true;
}

function allRows(): ProcessRow[] {
  if (!isLinux) return rowsFromPs(['-ax']);
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => rowOf(Number(entry)))
    .filter((row) => row !== null);
}

function rowOf(pid: number): ProcessRow | null {
  return isLinux ? rowFromProc(pid) : (rowsFromPs(['-p', String(pid)])[0] ?? null);
}

let bootId: string | undefined;

function rowFromProc(pid: number): ProcessRow | null {
  const stat = textOf(`/proc/${pid}/stat`);
  // proc(5): the second field is the program's name in parentheses, which may itself hold any; field 22 is the start.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, parent, group] = fields;
  if (state === undefined || state === '' || state === 'Z' || state === 'X') return null;
  bootId ??= textOf('/proc/sys/kernel/random/boot_id').trim();
  return { pid, parent: Number(parent), group: Number(group), startedAt: `${bootId}:${fields[19]}` };
}

function rowsFromPs(which: readonly string[]): ProcessRow[] {
  let output: string;
  try {
    output = execFileSync('ps', [...which, '-o', 'pid=,ppid=,pgid=,stat=,lstart='], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  } catch {
    return [];
  }
  return output
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state = 'Z']) => !state.startsWith('Z'))
    .map(([pid, parent, group, , ...startedAt]) => ({
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      startedAt: startedAt.join(' '),
    }));
}

/** Empty for processes that we may not look into: those are not ours. */
function environmentOf(pid: number): string[] {
  return isLinux ? textOf(`/proc/${pid}/environ`).split('\0') : [];
}

/** The fallback for files of a process that has just gone, or that do not exist here. */
function textOf(path: string): string;
function textOf<Fallback>(path: string, fallback: Fallback): string | Fallback;
function textOf(path: string, fallback: unknown = ''): unknown {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return fallback;
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
