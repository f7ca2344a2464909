import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { exitStatus, HostctlFailure } from './failure.ts';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';

type BackupSettings = NonNullable<Host['settings']['backup']>;

/** `hostctl backup run|list|restore`: restic by way of the NixOS module `backup`. */
export function addBackup(program: Command): void {
  program
    .command('backup')
    .description('back up this host now, list its snapshots, or restore one into an empty folder')
    .addCommand(
      new Command('run')
        .description('make a snapshot now and wait for it')
        .action(action({ kind: 'changes', run: runBackup })),
    )
    .addCommand(
      new Command('list').description('list the snapshots').action(action({ kind: 'looks', run: listSnapshots })),
    )
    .addCommand(
      new Command('restore')
        .argument('<snapshot>', '`latest` or a snapshot’s id')
        .requiredOption('--target <folder>', 'an absolute path; the folder must be empty or not there')
        .description('restore a snapshot beside the running host; nothing in use is overwritten')
        .action(action<[string, { target: string }]>({ kind: 'changes', run: restoreSnapshot })),
    );
}

async function runBackup(host: Host): Promise<Report> {
  const backup = backupSettings(host);
  // A oneshot unit: `start` returns when it has ended, with its verdict.
  await host.runner.mustChange(['systemctl', 'start', backup.unit], `\`journalctl -u ${backup.unit}\` says why.`);
  const summary = host.runner.dryRun ? 'dry run: nothing was backed up' : 'a snapshot was made';
  return { status: exitStatus.ok, summary, data: { lastSuccess: lastSuccess(backup) } };
}

async function listSnapshots(host: Host): Promise<Report> {
  const backup = backupSettings(host);
  const listed = await host.runner.ask([backup.command, 'snapshots', '--json', '--no-lock']);
  if (listed.status !== 0) {
    throw new HostctlFailure(
      exitStatus.failed,
      `the repository did not answer: ${listed.stderr.trim()}`,
      `Check ${backup.unit} and its credentials.`,
    );
  }
  const snapshots = JSON.parse(listed.stdout) as { short_id: string; time: string; paths: string[] }[];
  for (const { short_id: id, time, paths } of snapshots) host.output.line(`${id}  ${time}  ${paths.join(' ')}`);
  return { status: exitStatus.ok, summary: `${snapshots.length} snapshots`, data: { snapshots } };
}

async function restoreSnapshot(host: Host, snapshot: string, { target }: { target: string }): Promise<Report> {
  const backup = backupSettings(host);
  if (!/^(latest|[0-9a-f]{8,64})$/.test(snapshot)) {
    throw new HostctlFailure(
      exitStatus.usage,
      `'${snapshot}' is neither \`latest\` nor a snapshot’s id`,
      '`hostctl backup list` shows the ids.',
    );
  }
  if (!target.startsWith('/')) {
    throw new HostctlFailure(exitStatus.usage, `--target takes an absolute path, not '${target}'`, '');
  }
  if (existsSync(target) && readdirSync(target).length > 0) {
    throw new HostctlFailure(
      exitStatus.refused,
      `${target} is not empty`,
      'Name an empty folder: a restore never overwrites.',
    );
  }
  if (!host.runner.dryRun) mkdirSync(target, { recursive: true, mode: 0o700 });
  await host.runner.mustChange(
    [backup.command, 'restore', snapshot, '--target', target],
    `What was restored so far is in ${target}.`,
  );
  return {
    status: exitStatus.ok,
    summary: `${host.runner.dryRun ? 'dry run: would restore' : 'restored'} ${snapshot} into ${target}`,
    data: { snapshot, target },
  };
}

function backupSettings(host: Host): BackupSettings {
  if (host.settings.backup) return host.settings.backup;
  throw new HostctlFailure(
    exitStatus.refused,
    'this host has no backup',
    'Switch services.berth.backup on in its configuration.',
  );
}

/** When the last backup succeeded, from the metric that the module writes; undefined when there has been none. */
export function lastSuccess(backup: BackupSettings): Date | undefined {
  try {
    const seconds = /^berth_backup_last_success_timestamp_seconds ([0-9.]+)$/m.exec(
      readFileSync(backup.successMetric, 'utf8'),
    )?.[1];
    return seconds === undefined ? undefined : new Date(Number(seconds) * 1000);
  } catch {
    return undefined;
  }
}
