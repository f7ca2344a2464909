/** Ends a process group for certain. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY_MS = 5;

/** SIGKILL to every member, again until none runs any more or the time is over. */
export async function killGroup(groupId: number, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (sendToGroup(groupId, 'SIGKILL') && (await hasRunningMember(groupId)) && Date.now() < deadline) {
    await sleep(LOOK_EVERY_MS);
  }
}

/** Whether there was a member to send it to. */
export function sendToGroup(groupId: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-groupId, signal);
  } catch {
    return false;
  }
}

/** A zombie still receives signals: where PID 1 does not reap (many a container), it does so for ever. So /proc is asked, where there is one. */
async function hasRunningMember(groupId: number): Promise<boolean> {
  const entries = await readdir('/proc').catch(() => null);
  if (entries === null) return true;
  const stats = await Promise.all(
    entries.filter((entry) => /^\d+$/.test(entry)).map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')),
  );
  return stats.some((stat) => {
    // proc(5): after the last parenthesis come state, ppid, pgrp.
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(group) === groupId && state !== 'Z' && state !== 'X';
  });
}
