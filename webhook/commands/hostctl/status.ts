import type { Command } from 'commander';
import pc from 'picocolors';
import { type BaselineItem, checkBaseline } from './baseline.ts';
import { exitStatus } from './failure.ts';
import { listGenerations, resolvedSystem } from './generations.ts';
import { action, type Host } from './open-host.ts';
import type { Report } from './output.ts';

/** `hostctl status`: what runs, what would boot, and each item of the security baseline. */
export function addStatus(program: Command): void {
  program
    .command('status')
    .description('show what runs and each item of the baseline, with its opt-outs; status 1 when an item is broken')
    .action(action({ kind: 'looks', run: showStatus }));
}

const marks: Readonly<Record<BaselineItem['state'], string>> = {
  held: pc.green('✓'),
  broken: pc.red('✗'),
  'opted-out': pc.yellow('–'),
};

async function showStatus(host: Host): Promise<Report> {
  const generations = listGenerations(host.settings);
  const current = generations.find((generation) => generation.current);
  const running = resolvedSystem(host.settings.currentSystem);
  const booted = resolvedSystem(host.settings.bootedSystem);
  const baseline = await checkBaseline(host);

  host.output.line(`generation  ${current?.number ?? 'none'} of ${generations.length}`);
  host.output.line(`running     ${running ?? 'unknown'}`);
  host.output.line(`booted      ${booted === running ? 'the same' : (booted ?? 'unknown')}`);
  for (const item of baseline) {
    const optedOut = item.state === 'opted-out' ? 'opted out: ' : '';
    host.output.line(`${marks[item.state]} ${item.name.padEnd(24)} ${optedOut}${item.why}`);
  }
  const broken = baseline.filter(({ state }) => state === 'broken').map(({ name }) => name);
  return {
    status: broken.length === 0 ? exitStatus.ok : exitStatus.failed,
    summary: broken.length === 0 ? 'the baseline holds' : `the baseline is broken: ${broken.join(', ')}`,
    data: { generation: current?.number ?? null, running, booted, baseline },
  };
}
