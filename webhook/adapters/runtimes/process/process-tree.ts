/** Ends an app with everything that it started: what is below its first process, and its process group where that one has gone. */
import { descendantsOf, ended, isRunning, processesInGroup, send, type ProcessIdentity } from './process-table.ts';

/** SIGKILL takes effect at once unless the process waits for a disk. */
const KILL_WAIT_MS = 2_000;

/** SIGKILL to the first process, its group and everything below. In a sandbox the first alone would do: the kernel ends all of it. */
export function killTree(first: ProcessIdentity): void {
  for (const each of treeOf(first)) send(each, 'SIGKILL');
}

/**
 * SIGTERM to the app, after the grace SIGKILL. Resolves when all of it has ended. With `isSandbox` the first process is bubblewrap, which
 * must not get the SIGTERM: it would end, and take the app with it before that could react.
 */
export async function endTree(first: ProcessIdentity, isSandbox: boolean, graceMs: number): Promise<void> {
  const tree = treeOf(first);
  for (const each of tree) if (!isSandbox || each.pid !== first.pid) send(each, 'SIGTERM');
  const deadline = Date.now() + graceMs;
  for (const each of tree) await ended(each, Math.max(0, deadline - Date.now()));
  killTree(first);
  for (const each of tree) await ended(each, KILL_WAIT_MS);
}

function treeOf(first: ProcessIdentity): ProcessIdentity[] {
  const below = isRunning(first) ? descendantsOf(first.pid) : [];
  const known = new Set([first.pid, ...below.map((each) => each.pid)]);
  return [first, ...below, ...processesInGroup(first.pid).filter((each) => !known.has(each.pid))];
}
