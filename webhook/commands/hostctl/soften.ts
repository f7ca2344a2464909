import type { Command } from 'commander';
import { giveTo } from './configuration-tree.ts';
import { exitStatus, HostctlFailure } from './failure.ts';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';
import { recordSoftening } from './softened-until.ts';

/** Long enough for a day's work on the host; `maintain` closes what was forgotten. */
const hoursMax = 24;

/** `hostctl soften --user <name>`: one named user may edit the checkout for a while. */
export function addSoften(program: Command): void {
  program
    .command('soften')
    .requiredOption('--user <name>', 'the user who is going to edit the configuration')
    .option('--hours <n>', 'for how long, 1 to 24', '2')
    .description('let one user edit the configuration’s checkout for a while; `maintain` hardens it again afterwards')
    .action(action<[{ user: string; hours: string }]>({ kind: 'changes', run: soften }));
}

async function soften(host: Host, { user, hours }: { user: string; hours: string }): Promise<Report> {
  const lasts = Number(hours);
  if (!Number.isInteger(lasts) || lasts < 1 || lasts > hoursMax) {
    throw new HostctlFailure(
      exitStatus.usage,
      `--hours takes a whole number from 1 to ${hoursMax}, not '${hours}'`,
      '',
    );
  }
  const owner = await ownerNamed(host, user);
  const until = new Date(host.now.getTime() + lasts * 3600 * 1000);
  let changed: string[] = [];
  if (!host.runner.dryRun) {
    recordSoftening(host.settings.stateDirectory, { user, until });
    changed = giveTo(owner, host.settings.checkout);
  }
  return {
    status: exitStatus.ok,
    summary: `${host.runner.dryRun ? 'dry run: ' : ''}${user} may edit ${host.settings.checkout} until ${until.toISOString()}`,
    data: { user, until, changed: changed.length },
  };
}

async function ownerNamed(host: Host, user: string): Promise<{ uid: number; gid: number }> {
  // The pattern of useradd(8); it also keeps a name from being read as an option.
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(user)) {
    throw new HostctlFailure(exitStatus.usage, `'${user}' is not a user name`, '');
  }
  const entry = await host.runner.ask(['getent', 'passwd', user]);
  const fields = entry.stdout.trim().split(':');
  if (entry.status !== 0 || fields.length < 4) {
    throw new HostctlFailure(
      exitStatus.usage,
      `there is no user '${user}' on this host`,
      'Users are made by the configuration.',
    );
  }
  return { uid: Number(fields[2]), gid: Number(fields[3]) };
}
