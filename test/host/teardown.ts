/** Ends a test host and removes all of it, knowing nothing but its claim. */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { releaseClaim, type Claim } from './claims.ts';

/** Killing a cgroup takes milliseconds; what is not gone by then hangs in the kernel. */
const killTimeoutMs = 10_000;

/** nspawn names the link after the machine (`berth<number>`). */
export const linkOf = (claim: Claim): string => `ve-berth${claim.number}`;

/** The host's own cgroup in the version 2 hierarchy, which a hybrid machine has at `unified`. */
export function cgroupOf(claim: Claim): string {
  const hierarchy = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup';
  return join(hierarchy, `berth-test-host-${claim.number}`);
}

async function processesIn(cgroup: string): Promise<number> {
  const names = await readdir(cgroup, { recursive: true }).catch(() => []);
  const lists = await Promise.all(
    ['', ...names.filter((name) => name.endsWith('cgroup.procs'))].map((name) =>
      readFile(name === '' ? join(cgroup, 'cgroup.procs') : join(cgroup, name), 'utf8').catch(() => ''),
    ),
  );
  return lists
    .join('')
    .split('\n')
    .filter((line) => line !== '').length;
}

/** Kills every process of the host at once and waits until none is left; its files stay. */
export async function killHost(claim: Claim): Promise<void> {
  const cgroup = cgroupOf(claim);
  const deadline = performance.now() + killTimeoutMs;
  while (existsSync(cgroup)) {
    await writeFile(join(cgroup, 'cgroup.kill'), '1').catch(() => undefined);
    if ((await processesIn(cgroup)) === 0) break;
    if (performance.now() > deadline) throw new Error(`Processes in ${cgroup} did not end within ${killTimeoutMs} ms.`);
    await delay(5);
  }
  await removeCgroup(cgroup);
  // The link goes with the host's network namespace, but only some time after its last process.
  if (existsSync(`/sys/class/net/${linkOf(claim)}`))
    await execa('ip', ['link', 'delete', linkOf(claim)], { reject: false });
}

/** Depth first: a cgroup with children cannot be removed, and its files are not ours to remove. */
async function removeCgroup(cgroup: string): Promise<void> {
  const entries = await readdir(cgroup, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeCgroup(join(cgroup, entry.name));
  for (let attempt = 0; existsSync(cgroup) && attempt < 200; attempt += 1) {
    const busy = await rmdir(cgroup).then(
      () => false,
      () => true,
    );
    if (!busy) return;
    await delay(5);
  }
}

/** Kills the host, then removes its state and gives its number back. Repeating it is harmless. */
export async function removeHost(claim: Claim): Promise<void> {
  await killHost(claim);
  await rm(claim.stateDirectory, { recursive: true, force: true }).catch(async () => {
    // A guest may have left immutable files (contract, section 4).
    await execa('chattr', ['-R', '-f', '-i', claim.stateDirectory], { reject: false });
    await rm(claim.stateDirectory, { recursive: true, force: true });
  });
  await releaseClaim(claim);
}
