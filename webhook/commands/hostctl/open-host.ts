import type { Command } from 'commander';
import { CommandRunner } from './command-runner.ts';
import { exitStatus, HostctlFailure } from './failure.ts';
import { takeHostLock } from './host-lock.ts';
import { logMaintenance } from './maintenance-log.ts';
import { Output, type Report } from './output.ts';
import { type HostSettings, readSettings, settingsPath } from './settings.ts';

/** What a verb works with: this host's settings, a way to run programs, the terminal, and one reading of the clock. */
export interface Host {
  readonly settings: HostSettings;
  readonly runner: CommandRunner;
  readonly output: Output;
  readonly now: Date;
  /** True when the operator has said beforehand that the question of this verb is answered with yes. */
  readonly yes: boolean;
}

interface GlobalOptions {
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly settings?: string;
}

/** A verb: looks, acts, and says how it ended. `looks` verbs take no lock and write no log. */
export interface Verb<Arguments extends unknown[]> {
  readonly kind: 'looks' | 'changes';
  readonly run: (host: Host, ...values: Arguments) => Promise<Report>;
}

/**
 * Turns a verb into commander's action: opens the host, holds its lock while a changing verb runs, writes the
 * maintenance log, prints the report and sets the exit status. The only place where a failure becomes a status.
 */
export function action<Arguments extends unknown[]>(verb: Verb<Arguments>) {
  return async function run(this: Command, ...values: [...Arguments, ...unknown[]]): Promise<void> {
    const options = this.optsWithGlobals<GlobalOptions>();
    const output = new Output(options.json ?? false);
    const name = fullName(this);
    try {
      const settings = readSettings(options.settings ?? process.env['BERTH_HOSTCTL_SETTINGS'] ?? settingsPath);
      const runner = new CommandRunner(output, options.dryRun ?? false);
      const host: Host = { settings, runner, output, now: new Date(), yes: options.yes ?? false };
      const report = await runVerb(host, verb, name, values as unknown as Arguments);
      output.report(name, report);
      process.exitCode = report.status;
    } catch (error) {
      const failure = error instanceof HostctlFailure ? error : internalFailure(error);
      output.failure(name, failure);
      process.exitCode = failure.status;
    }
  };
}

/** `backup run` for a verb below a verb: what the operator typed. */
function fullName(command: Command): string {
  return command.parent?.parent ? `${command.parent.name()} ${command.name()}` : command.name();
}

async function runVerb<Arguments extends unknown[]>(
  host: Host,
  verb: Verb<Arguments>,
  name: string,
  values: Arguments,
): Promise<Report> {
  if (verb.kind === 'looks' || host.runner.dryRun) return verb.run(host, ...values);
  using _lock = takeHostLock(host.settings.stateDirectory);
  try {
    const report = await verb.run(host, ...values);
    logMaintenance(host.settings.maintenanceLog, host.now, name, `status ${report.status}: ${report.summary}`);
    return report;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    logMaintenance(host.settings.maintenanceLog, host.now, name, `failed: ${message}`);
    throw error;
  }
}

/** @throws HostctlFailure `refused` unless `--yes` was given: a verb that loses something never starts unasked. */
export function mustBeConfirmed(host: Host, loss: string): void {
  if (host.yes || host.runner.dryRun) return;
  throw new HostctlFailure(exitStatus.refused, loss, 'Say --yes to do it, or --dry-run to see what would run.');
}

function internalFailure(error: unknown): HostctlFailure {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new HostctlFailure(
    exitStatus.failed,
    `unexpected: ${message}`,
    'This is a fault in hostctl: please report it.',
  );
}
