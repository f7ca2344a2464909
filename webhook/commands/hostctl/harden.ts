import type { Command } from 'commander';
import { deviationsFrom, giveTo } from './configuration-tree.ts';
import { exitStatus } from './failure.ts';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';
import { forgetSoftening } from './softened-until.ts';

/** `hostctl harden`: only root writes the configuration, only root reads its secrets. */
export function addHarden(program: Command): void {
  program
    .command('harden')
    .description('make the configuration’s checkout writable by root alone and its secrets readable by root alone')
    .action(action({ kind: 'changes', run: hardenConfiguration }));
}

/** Puts owner and modes of the checkout right; running it again changes nothing. */
export async function hardenConfiguration(host: Host): Promise<Report> {
  if (host.runner.dryRun) {
    const would = deviationsFrom(currentOwner(), host.settings.checkout);
    return {
      status: exitStatus.ok,
      summary: `dry run: would put ${would.length} entries right`,
      data: { changed: [], would },
    };
  }
  const paths = giveTo(currentOwner(), host.settings.checkout);
  forgetSoftening(host.settings.stateDirectory);
  const summary = paths.length === 0 ? 'the configuration is already hardened' : `put ${paths.length} entries right`;
  return { status: exitStatus.ok, summary, data: { changed: paths } };
}

/** The user who runs hostctl: root on a host. */
export function currentOwner(): { uid: number; gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}
