import { readFileSync, writeFileSync } from 'node:fs';
import { moduleFiles } from './nix/our-files.ts';
import { settingsOf } from './nix/module-settings.ts';
import { candidates, lookUp, tableFile } from './nix/option-table.ts';

/**
 * Cuts a table of every NixOS option (`{ "name": { "type": … } }`) down to the parts that our modules touch and writes
 * test/fixtures/nixos-options.json: `node scripts/trim-option-table.ts FULL.json`, after a module sets something in a
 * part that none did before. A part is an option's first two names, so that a misspelt third one is still seen.
 */
const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error('usage: trim-option-table.ts FULL.json');
  process.exit(2);
}
const full = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { type: string }>;
const table = new Map(Object.entries(full).map(([name, { type }]) => [name, type]));

const partOf = (name: string) => name.split('.').slice(0, 2).join('.');
const touched = new Set<string>();
for (const { tree } of moduleFiles()) {
  for (const { path } of settingsOf(tree, (at) => lookUp(table, at)?.kind !== 'prefix')) {
    for (const name of candidates(table, path)) touched.add(partOf(name));
  }
}
const kept = [...table]
  .filter(([name]) => touched.has(partOf(name)) || touched.has(name))
  .sort(([a], [b]) => (a < b ? -1 : 1));
writeFileSync(tableFile, `${JSON.stringify(Object.fromEntries(kept), null, 1)}\n`);
console.log(`${kept.length} of ${table.size} options kept in ${tableFile}`);
