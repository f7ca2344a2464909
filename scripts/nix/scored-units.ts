import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { repositoryRoot } from './evaluation.ts';

/** Units that can't be confined, and why; everything else of ours has to be. */
const unconfined: Readonly<Record<string, string>> = {
  'berth-auto-upgrade.service': 'activates a new system: writes /etc, the boot loader, restarts any unit',
};

export interface ScoredUnit {
  readonly name: string;
  readonly text: string;
  /** Why it can't be confined; undefined for all that must be OK or better. */
  readonly unconfined: string | undefined;
}

/** The rendered units that are ours, or that we harden: those whose exposure is measured. */
export function scoredUnits(): ScoredUnit[] {
  return globSync('test/fixtures/rendered/units/{berth-*,caddy}.service', { cwd: repositoryRoot })
    .sort()
    .map((file) => ({
      name: basename(file),
      text: readFileSync(join(repositoryRoot, file), 'utf8'),
      unconfined: unconfined[basename(file)],
    }));
}
