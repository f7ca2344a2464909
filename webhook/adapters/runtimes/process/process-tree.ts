/** Ends an app with everything that it started: what is below its first process, and its process group where that one has gone. */
import { descendantsOf, ended, isRunning, processesInGroup, send, type ProcessIdentity } from './process-table.ts';

/** SIGKILL takes effect at once unless the process waits for a disk. */
const KILL_WAIT_MS = 2_000;

/** While an app may still react to SIGTERM, how often its processes are listed anew. */
const LOOK_EVERY_MS = 50;

/** SIGKILL to the first process, its group and everything below. In a sandbox the first alone would do: the kernel ends all of it. */
export function killTree(first: ProcessIdentity): void {
  for (const each of treeOf(first)) send(each, 'SIGKILL');
}

/**
 * SIGTERM to the app, after the grace SIGKILL. Resolves when all of it has ended. With `isSandbox` the first process is bubblewrap, which
 * must not get the SIGTERM: it would end, and take the app with it before that could react. Each process gets it once, also one that
 * appears later: a sandbox that is still being set up has no app yet.
 */
export async function endTree(first: ProcessIdentity, isSandbox: boolean, graceMs: number): Promise<void> {
  const told = new Set<number>(isSandbox ? [first.pid] : []);
  const deadline = Date.now() + graceMs;
  for (let tree = runningTreeOf(first); tree.length > 0 && Date.now() < deadline; tree = runningTreeOf(first)) {
    for (const each of tree) {
      if (!told.has(each.pid)) send(each, 'SIGTERM');
      told.add(each.pid);
    }
    await ended(tree[0] ?? first, Math.min(LOOK_EVERY_MS, deadline - Date.now()));
  }
  const rest = runningTreeOf(first);
  killTree(first);
  for (const each of rest) await ended(each, KILL_WAIT_MS);
}

function runningTreeOf(first: ProcessIdentity): ProcessIdentity[] {
  return treeOf(first).filter(isRunning);
}

function treeOf(first: ProcessIdentity): ProcessIdentity[] {
  const below = isRunning(first) ? descendantsOf(first.pid) : [];
  const known = new Set([first.pid, ...below.map((each) => each.pid)]);
  return [first, ...below, ...processesInGroup(first.pid).filter((each) => !known.has(each.pid))];
}
