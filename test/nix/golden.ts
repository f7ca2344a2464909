import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../../scripts/nix/evaluation.ts';

/** Where the committed copies of render.nix's texts lie. */
export const goldenFolder = join(repositoryRoot, 'test', 'fixtures', 'rendered');

/**
 * A rendered text without what belongs to one nixpkgs tree: hashes of store paths and the three environment lines that
 * NixOS adds to every unit. JSON is laid out for reading.
 */
export function normalized(name: string, text: string): string {
  const plain = text
    .replace(/\/nix\/store\/[0-9a-z]{32}-/g, '/nix/store/00000000000000000000000000000000-')
    .replace(/^Environment="(LOCALE_ARCHIVE|PATH|TZDIR)=.*\n/gm, '');
  return name.endsWith('.json') ? `${JSON.stringify(JSON.parse(plain), null, 2)}\n` : plain;
}

export function golden(name: string): string {
  return readFileSync(join(goldenFolder, name), 'utf8');
}

/** Names of the committed copies, relative to their folder. */
export function goldenNames(): string[] {
  return readdirSync(goldenFolder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(goldenFolder.length + 1))
    .sort();
}
