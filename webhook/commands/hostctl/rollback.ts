import type { Command } from 'commander';
import { exitStatus, HostctlFailure } from './failure.ts';
import { listGenerations } from './generations.ts';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';
import { applied } from './rebuild.ts';

/** `hostctl rollback [generation]`: back to the generation before, or to a named one. */
export function addRollback(program: Command): void {
  program
    .command('rollback')
    .argument('[generation]', 'number of the generation to run (default: the one before the current)')
    .description('make an earlier generation of the host the running one')
    .action(action<[string | undefined]>({ kind: 'changes', run: rollback }));
}

async function rollback(host: Host, wanted: string | undefined): Promise<Report> {
  const { systemProfile } = host.settings;
  const target = targetGeneration(host, wanted);
  const switched = await host.runner.change([
    'nix-env',
    '--profile',
    systemProfile,
    '--switch-generation',
    String(target),
  ]);
  if (switched !== 0) {
    throw new HostctlFailure(
      exitStatus.failed,
      `nix-env ended with status ${switched}`,
      'The host runs what it ran before.',
    );
  }
  return applied(host, [`${systemProfile}/bin/switch-to-configuration`, 'switch']);
}

function targetGeneration(host: Host, wanted: string | undefined): number {
  const generations = listGenerations(host.settings);
  const known = generations.map(({ number }) => number).join(', ') || 'none';
  if (wanted !== undefined) {
    const found = generations.find(({ number }) => String(number) === wanted);
    if (found) return found.number;
    throw new HostctlFailure(
      exitStatus.usage,
      `there is no generation ${wanted}`,
      `Generations of this host: ${known}.`,
    );
  }
  const current = generations.findIndex((generation) => generation.current);
  const before = current > 0 ? generations[current - 1] : undefined;
  if (before) return before.number;
  throw new HostctlFailure(
    exitStatus.refused,
    'there is no earlier generation to return to',
    `Generations of this host: ${known}.`,
  );
}
