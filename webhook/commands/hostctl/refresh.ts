import type { Command } from 'commander';
import { action } from './open-host.ts';
import { pullConfiguration } from './pull.ts';
import { switchToFlake } from './rebuild.ts';

/** `hostctl refresh`: pull, then sync: the host becomes what the repository says. */
export function addRefresh(program: Command): void {
  program
    .command('refresh')
    .description('pull, then sync: the host becomes what the repository says')
    .action(
      action({
        kind: 'changes',
        run: async (host) => {
          await pullConfiguration(host);
          return switchToFlake(host);
        },
      }),
    );
}
