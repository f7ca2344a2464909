import type { Command } from 'commander';
import { action } from './open-host.ts';
import { switchToFlake } from './rebuild.ts';

/** `hostctl sync`: the host becomes what the checked-out configuration says. */
export function addSync(program: Command): void {
  program
    .command('sync')
    .description('build the checked-out configuration and make it the running one')
    .action(action({ kind: 'changes', run: switchToFlake }));
}
