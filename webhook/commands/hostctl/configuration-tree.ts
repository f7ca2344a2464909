import { chmodSync, lchownSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** One entry of the tree that is not as it should be. */
export interface Deviation {
  readonly path: string;
  readonly mode: number;
  readonly wantedMode: number;
  readonly wantedOwner: Owner;
}

/** Folders of this name hold what only their owner may read (server-config/secrets). */
const secretFolder = 'secrets';

/**
 * Looks through a checkout for entries that others could write, that belong to someone else, or that are secrets others could read.
 * Changes nothing and follows no symbolic link, so that a link in the tree never leads the owner change elsewhere.
 */
export function deviationsFrom(owner: Owner, root: string): Deviation[] {
  const found: Deviation[] = [];
  const visit = (path: string, secret: boolean): void => {
    const entry = lstatSync(path);
    const mode = entry.mode & 0o7777;
    const wantedMode = entry.isSymbolicLink() ? mode : mode & (secret ? 0o7700 : 0o7755);
    if (wantedMode !== mode || entry.uid !== owner.uid || entry.gid !== owner.gid) {
      found.push({ path, mode, wantedMode, wantedOwner: owner });
    }
    if (!entry.isDirectory()) return;
    for (const name of readdirSync(path)) visit(join(path, name), secret || name === secretFolder);
  };
  visit(root, false);
  return found;
}

/** Puts the entries right. May run again after a kill: what is already right is simply not listed any more. */
export function correct(deviations: readonly Deviation[]): void {
  for (const { path, mode, wantedMode, wantedOwner } of deviations) {
    lchownSync(path, wantedOwner.uid, wantedOwner.gid);
    if (wantedMode !== mode) chmodSync(path, wantedMode);
  }
}
