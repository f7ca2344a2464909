import type { Command } from 'commander';
import { exitStatus } from './failure.ts';
import { collectGarbage } from './gc.ts';
import { hardenConfiguration } from './harden.ts';
import { logMaintenance } from './maintenance-log.ts';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';
import { readSoftening } from './softened-until.ts';

/** `hostctl maintain`: what the host's timer runs; everything that is due and nothing that is not. */
export function addMaintain(program: Command): void {
  program
    .command('maintain')
    .description('harden what was softened too long ago and collect garbage when it is due; run by a timer')
    .action(action({ kind: 'changes', run: maintain }));
}

async function maintain(host: Host): Promise<Report> {
  const done: { task: string; summary: string }[] = [];
  const softening = readSoftening(host.settings.stateDirectory);
  if (softening && softening.until <= host.now) {
    done.push({ task: 'harden', summary: (await hardenConfiguration(host)).summary });
  }
  done.push({ task: 'gc', summary: (await collectGarbage(host, undefined, false)).summary });
  if (!host.runner.dryRun) {
    for (const { task, summary } of done)
      logMaintenance(host.settings.maintenanceLog, host.now, `maintain/${task}`, summary);
  }
  const summary = done.map(({ task, summary: text }) => `${task}: ${text}`).join('; ');
  return { status: exitStatus.ok, summary, data: { done } };
}
