import type { Command } from 'commander';
import { exitStatus, HostctlFailure } from './failure.ts';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';
import { readSoftening } from './softened-until.ts';

/** `hostctl pull`: the checkout moves forward to its upstream; never merges, never discards work. */
export function addPull(program: Command): void {
  program
    .command('pull')
    .description('bring the configuration’s checkout forward to its upstream; builds nothing')
    .action(action({ kind: 'changes', run: pullConfiguration }));
}

/** @throws HostctlFailure `refused` when the checkout has uncommitted changes or is softened, `failed` when it cannot move forward. */
export async function pullConfiguration(host: Host): Promise<Report> {
  const { checkout, stateDirectory } = host.settings;
  const softening = readSoftening(stateDirectory);
  if (softening) {
    // git runs programs that a checkout's own files name: as root that may only be a checkout which root alone writes.
    throw new HostctlFailure(
      exitStatus.refused,
      `${softening.user} may edit ${checkout} until ${softening.until.toISOString()}`,
      'Pull as that user, or close the checkout first with `hostctl harden`.',
    );
  }
  const status = await host.runner.ask(['git', '-C', checkout, 'status', '--porcelain']);
  if (status.status !== 0) {
    throw new HostctlFailure(
      exitStatus.failed,
      `${checkout} is not a git checkout: ${status.stderr.trim()}`,
      'Clone your configuration there; docs/guides/install-on-hetzner.md shows how.',
    );
  }
  if (status.stdout.trim() !== '') {
    throw new HostctlFailure(
      exitStatus.refused,
      `${checkout} has uncommitted changes:\n${status.stdout.trimEnd()}`,
      'Commit them or put them aside with `git stash`, then pull again.',
    );
  }
  const before = await headOf(host);
  await host.runner.mustChange(
    ['git', '-C', checkout, 'pull', '--ff-only', '--quiet'],
    'The checkout is as it was. If it has commits of its own, push or rebase them first.',
  );
  const after = await headOf(host);
  const moved =
    before === after ? 'already at the newest commit' : `from ${before.slice(0, 12)} to ${after.slice(0, 12)}`;
  return {
    status: exitStatus.ok,
    summary: host.runner.dryRun ? 'dry run: nothing was changed' : `${checkout}: ${moved}`,
    data: { before, after, dryRun: host.runner.dryRun },
  };
}

async function headOf(host: Host): Promise<string> {
  const head = await host.runner.ask(['git', '-C', host.settings.checkout, 'rev-parse', 'HEAD']);
  return head.stdout.trim();
}
