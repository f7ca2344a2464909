import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { configSchema } from '../webhook/config/schema.ts';

/**
 * Checks a berth.toml against the operator's own schema without starting anything: `node check-settings.ts FILE`.
 * A NixOS host runs it while it is built (server-config/packages/checked-settings.nix), where no secret is at hand,
 * so what only a start can see (secrets, addresses in use) is not looked at.
 */
const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error('usage: check-settings.ts FILE');
  process.exit(2);
}
const checked = configSchema.safeParse(parse(readFileSync(file, 'utf8')));
if (!checked.success) {
  for (const issue of checked.error.issues)
    console.error(`berth.previewOperator.settings.${issue.path.join('.')}: ${issue.message}`);
  process.exit(1);
}
