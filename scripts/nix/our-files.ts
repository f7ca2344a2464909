import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './evaluation.ts';
import { parseNix, type NixNode } from './parse-nix.ts';

export interface NixFile {
  /** Relative to the repository's root. */
  readonly path: string;
  readonly tree: NixNode;
}

/** Every Nix file of the hosts: modules, profiles, hosts, guest, installer. */
export function hostFiles(): NixFile[] {
  return read(['server-config/**/*.nix', 'initial-install/**/*.nix']);
}

/** The files among them that are NixOS modules as they stand (not lists of files, functions to one, or tests). */
export function moduleFiles(): NixFile[] {
  const patterns = ['modules/*/*.nix', 'profiles/*.nix', 'hosts/*.nix'].map((pattern) => `server-config/${pattern}`);
  return read([...patterns, 'initial-install/configuration.nix']).filter(
    ({ path }) => !/(eval-tests|profiles\/default|hosts\/default)\.nix$/.test(path),
  );
}

export function profileFiles(): NixFile[] {
  return moduleFiles().filter(({ path }) => path.startsWith('server-config/profiles/'));
}

function read(patterns: string[]): NixFile[] {
  return globSync(patterns, { cwd: repositoryRoot })
    .sort()
    .map((path) => ({ path, tree: parseNix(readFileSync(join(repositoryRoot, path), 'utf8'), path) }));
}
