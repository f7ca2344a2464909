import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './evaluation.ts';

/** The rendered units that are ours, or that we harden: those whose exposure is measured. */
export function scoredUnits(): { file: string; text: string }[] {
  return globSync('test/fixtures/rendered/units/{berth-*,caddy}.service', { cwd: repositoryRoot })
    .sort()
    .map((file) => ({ file, text: readFileSync(join(repositoryRoot, file), 'utf8') }));
}
