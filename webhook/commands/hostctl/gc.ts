import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { exitStatus, HostctlFailure } from './failure.ts';
import { listGenerations } from './generations.ts';
import { action, type Host, mustBeConfirmed } from './open-host.ts';
import type { Report } from './output.ts';
import { gcAge } from './settings.ts';

/** `hostctl gc [full|<age>]`: frees store space; keeps the way back unless told to give it up. */
export function addGc(program: Command): void {
  program
    .command('gc')
    .argument('[scope]', '`full` (no rollback is left) or an age in days such as 14d (default: the setting)')
    .option('--force', 'collect even when the last collection is younger than the interval')
    .description('remove old generations and what nothing needs any more from the Nix store')
    .action(
      action<[string | undefined, { force?: boolean }]>({
        kind: 'changes',
        run: async (host, scope, { force }) => collectGarbage(host, scope, force ?? false),
      }),
    );
}

/**
 * Collects at most once per interval, `--force` and an explicit scope excepted. Of the generations it
 * always keeps the newest `keepGenerations`, however old; what runs and what was booted is never among the removed:
 * nix refuses to delete the current one, and the booted system is a GC root of its own.
 */
export async function collectGarbage(host: Host, scope: string | undefined, force: boolean): Promise<Report> {
  if (scope !== undefined && scope !== 'full' && !gcAge.safeParse(scope).success) {
    throw new HostctlFailure(
      exitStatus.usage,
      `gc takes \`full\` or a number of days such as 30d, not '${scope}'`,
      'Run `hostctl help gc`.',
    );
  }
  const dueAt = nextDue(host);
  if (scope === undefined && !force && dueAt > host.now) {
    const summary = `not due before ${dueAt.toISOString()}`;
    return { status: exitStatus.ok, summary, data: { collected: false, dueAt } };
  }
  const removed = generationsToRemove(host, scope ?? host.settings.gc.olderThan);
  if (scope === 'full') {
    mustBeConfirmed(host, `a full collection removes ${removed.length} generations: no rollback is left`);
  }
  const { systemProfile } = host.settings;
  if (removed.length > 0) {
    const numbers = removed.map(String);
    await host.runner.mustChange(
      ['nix-env', '--profile', systemProfile, '--delete-generations', ...numbers],
      'Nothing was collected.',
    );
  }
  await host.runner.mustChange(['nix-store', '--gc'], 'What was freed so far is gone; run it again.');
  if (!host.runner.dryRun) rememberCollection(host);
  return {
    status: exitStatus.ok,
    summary: `${host.runner.dryRun ? 'dry run: would remove' : 'removed'} ${removed.length} generations and what only they needed`,
    data: { collected: !host.runner.dryRun, removed },
  };
}

/** Generations that a collection of this scope gives up: the link's own time says how old one is. */
function generationsToRemove(host: Host, scope: string): number[] {
  const generations = listGenerations(host.settings);
  const others = generations.filter(({ current }) => !current);
  if (scope === 'full') return others.map(({ number }) => number);
  const oldest = host.now.getTime() - Number.parseInt(scope, 10) * 24 * 3600 * 1000;
  const kept = new Set(generations.slice(-host.settings.gc.keepGenerations).map(({ number }) => number));
  return others.filter(({ number, madeAtMs }) => !kept.has(number) && madeAtMs < oldest).map(({ number }) => number);
}

function nextDue(host: Host): Date {
  try {
    const last = Date.parse(readFileSync(lastCollectionFile(host), 'utf8').trim());
    // A last run in the future is a clock that was wrong: collecting once too often does no harm.
    if (last > host.now.getTime() || Number.isNaN(last)) return new Date(0);
    return new Date(last + host.settings.gc.intervalHours * 3600 * 1000);
  } catch {
    return new Date(0);
  }
}

function rememberCollection(host: Host): void {
  mkdirSync(host.settings.stateDirectory, { recursive: true, mode: 0o700 });
  writeFileSync(lastCollectionFile(host), `${host.now.toISOString()}\n`);
}

function lastCollectionFile(host: Host): string {
  return join(host.settings.stateDirectory, 'last-collection');
}
