import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  readdirSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Folders of this name hold what only their owner may read (server-config/secrets). */
const secretFolder = 'secrets';

/** Nothing here needs to run as somebody else, so the bits for that go too. */
function wantedMode(entry: Stats, secret: boolean): number {
  return entry.mode & (secret ? 0o700 : 0o755);
}

function isRight(entry: Stats, owner: Owner, secret: boolean): boolean {
  const ownerIsRight = entry.uid === owner.uid && entry.gid === owner.gid;
  return ownerIsRight && (entry.isSymbolicLink() || (entry.mode & 0o7777) === wantedMode(entry, secret));
}

/**
 * Looks through a checkout for entries that others could write, that belong to someone else, or that are secrets others could read.
 * Changes nothing and follows no symbolic link.
 */
export function deviationsFrom(owner: Owner, root: string): string[] {
  const found: string[] = [];
  const visit = (path: string, secret: boolean): void => {
    const entry = lstatSync(path);
    if (!isRight(entry, owner, secret)) found.push(path);
    if (!entry.isDirectory()) return;
    for (const name of readdirSync(path)) visit(join(path, name), secret || name === secretFolder);
  };
  visit(root, false);
  return found;
}

/**
 * Gives the whole checkout to `owner`, writable by nobody else, and returns what was changed. May run again after a kill.
 *
 * Root does this in a tree that another user may be writing at that very moment, and who would like to see root follow a link of theirs to /etc.
 * So each entry is opened without following, judged and changed through that handle, and its children are named through the handle
 * (/proc/self/fd/N/name): a folder swapped for a link in between changes nothing.
 */
export function giveTo(owner: Owner, root: string): string[] {
  const changed: string[] = [];
  const visit = (path: string, handle: string, secret: boolean): void => {
    if (lstatSync(handle).isSymbolicLink()) {
      if (isRight(lstatSync(handle), owner, secret)) return;
      lchownSync(handle, owner.uid, owner.gid);
      changed.push(path);
      return;
    }
    // O_NONBLOCK: opening a named pipe must not wait for a writer.
    const file = openSync(handle, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const entry = fstatSync(file);
      if (!isRight(entry, owner, secret)) {
        fchownSync(file, owner.uid, owner.gid);
        fchmodSync(file, wantedMode(entry, secret));
        changed.push(path);
      }
      if (!entry.isDirectory()) return;
      const folder = `/proc/self/fd/${file}`;
      for (const name of readdirSync(folder))
        visit(join(path, name), `${folder}/${name}`, secret || name === secretFolder);
    } finally {
      closeSync(file);
    }
  };
  visit(root, root, false);
  return changed;
}
