import { exitStatus, HostctlFailure } from './failure.ts';
import { resolvedSystem } from './generations.ts';
import type { Host } from './open-host.ts';
import type { Report } from './output.ts';

/** Builds this host's configuration from the flake and makes it the running one; judged by `applied`. */
export async function switchToFlake(host: Host): Promise<Report> {
  const { flake, attribute } = host.settings;
  return applied(host, ['nixos-rebuild', 'switch', '--flake', `${flake}#${attribute}`, '--no-update-lock-file']);
}

/**
 * Runs a command that activates a system and tells its three endings apart, by what runs afterwards and not
 * by the exit status alone: nixos-rebuild answers non-zero both when nothing was built and when everything is
 * in place except one unit.
 *
 * @throws HostctlFailure `failed` when the host still runs what it ran before.
 */
export async function applied(host: Host, argv: readonly [string, ...string[]]): Promise<Report> {
  const before = resolvedSystem(host.settings.currentSystem);
  const status = await host.runner.change(argv);
  if (host.runner.dryRun) {
    return { status: exitStatus.ok, summary: 'dry run: nothing was changed', data: { dryRun: true } };
  }
  const after = resolvedSystem(host.settings.currentSystem);
  const failedUnits = await listFailedUnits(host);
  const data = { before, after, failedUnits };
  if (status === 0) {
    const summary = before === after ? 'the host already runs this configuration' : `the host now runs ${after}`;
    return { status: exitStatus.ok, summary, data };
  }
  if (before !== after && failedUnits.length > 0) {
    const summary = `the host now runs ${after}, but these units failed: ${failedUnits.join(', ')}`;
    return { status: exitStatus.appliedWithFailedUnits, summary, data };
  }
  const runs = before === after ? `it still runs ${before ?? 'what it ran before'}` : `it runs ${after}`;
  throw new HostctlFailure(
    exitStatus.failed,
    `${argv.slice(0, 2).join(' ')} ended with status ${status}; ${runs}`,
    before === after
      ? 'Read the error above; nothing needs undoing.'
      : '`hostctl rollback` returns to the generation before.',
  );
}

/** Names of the units that systemd calls failed; empty on a healthy host. */
export async function listFailedUnits(host: Host): Promise<string[]> {
  const listed = await host.runner.ask(['systemctl', 'list-units', '--failed', '--plain', '--no-legend']);
  return listed.stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/)[0] ?? '')
    .filter((unit) => unit !== '');
}
