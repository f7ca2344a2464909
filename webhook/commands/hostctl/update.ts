import type { Command } from 'commander';
import { exitStatus } from './failure.ts';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';

/** `hostctl update`: newer inputs in flake.lock, nothing built. */
export function addUpdate(program: Command): void {
  program
    .command('update')
    .description('move the flake’s inputs (nixpkgs, disko) to their newest revisions; builds nothing')
    .action(action({ kind: 'changes', run: updateInputs }));
}

/** Moves the inputs. @throws HostctlFailure `failed`; nix replaces flake.lock only when all inputs were found. */
export async function updateInputs(host: Host): Promise<Report> {
  const hint = 'flake.lock is as it was; is the network up?';
  await host.runner.mustChange(['nix', 'flake', 'update', '--flake', host.settings.flake], hint);
  return {
    status: exitStatus.ok,
    summary: host.runner.dryRun ? 'dry run: nothing was changed' : 'inputs are up to date; `hostctl sync` applies them',
    data: { dryRun: host.runner.dryRun },
  };
}
