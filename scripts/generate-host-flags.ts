import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './nix/evaluation.ts';
import { hostFlagsPage } from './nix/flags-page.ts';

/** Writes docs/reference/host-flags.md from server-config/defaults.nix. */
writeFileSync(join(repositoryRoot, 'docs/reference/host-flags.md'), hostFlagsPage());
