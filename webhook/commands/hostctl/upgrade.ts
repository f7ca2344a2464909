import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';
import { switchToFlake } from './rebuild.ts';
import { updateInputs } from './update.ts';

/** `hostctl upgrade`: update, then sync; a failed build leaves the lock file as it was. */
export function addUpgrade(program: Command): void {
  program
    .command('upgrade')
    .description('update the inputs and apply them; puts the old flake.lock back when that fails')
    .action(action({ kind: 'changes', run: upgrade }));
}

async function upgrade(host: Host): Promise<Report> {
  const lock = join(host.settings.flake, 'flake.lock');
  const kept = join(host.settings.stateDirectory, 'flake.lock.before-upgrade');
  const keep = !host.runner.dryRun && existsSync(lock);
  // Left by an upgrade that was killed: what it kept is the lock that is known to build.
  if (keep && existsSync(kept)) putBack(host, kept, lock);
  if (keep) copyFileSync(lock, kept);
  try {
    await updateInputs(host);
    const report = await switchToFlake(host);
    if (keep) rmSync(kept, { force: true });
    return report;
  } catch (error) {
    if (keep) putBack(host, kept, lock);
    throw error;
  }
}

function putBack(host: Host, kept: string, lock: string): void {
  // Copied beside it first: the checkout may lie on another file system, where a rename is not possible.
  copyFileSync(kept, `${lock}.before-upgrade`);
  renameSync(`${lock}.before-upgrade`, lock);
  rmSync(kept, { force: true });
  host.output.warn(`${lock} is again as it was before the upgrade.`);
}
