/** What of a tree we place on a host, decided on its listing before a single file is written. Pure. */
import { posix } from 'node:path';
import { OperatorError } from '../../core/errors.ts';
import { TREE_ENTRIES_MAX, TREE_MAX_BYTES } from '../../core/limits.ts';
import { parseSha, type Sha } from '../../core/pull-request.ts';

export interface TreeEntry {
  readonly kind: 'file' | 'symlink' | 'submodule' | 'directory';
  readonly object: Sha;
  readonly bytes: number;
  readonly path: string;
}

const KINDS: Readonly<Record<string, TreeEntry['kind']>> = {
  '100644': 'file',
  '100755': 'file',
  // Written by very old versions of git for group-writable files.
  '100664': 'file',
  '120000': 'symlink',
  '160000': 'submodule',
  '040000': 'directory',
};

/** Reads `git ls-tree -z -l`. Throws SOURCE_REFUSED for an entry of a kind that git does not know either. */
export function entriesFrom(listing: string): TreeEntry[] {
  return listing
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const tab = line.indexOf('\t');
      const [mode = '', , object = '', size = ''] = line.slice(0, tab).split(/ +/);
      const path = line.slice(tab + 1);
      const kind = KINDS[mode];
      const id = parseSha(object);
      if (kind === undefined || id === null) throw refused(path, `has the unknown mode ${mode}`);
      return { kind, object: id, bytes: size === '-' ? 0 : Number(size), path };
    });
}

/** Throws SOURCE_REFUSED naming the first entry that we do not place, or the size of the whole. */
export function checkEntries(entries: readonly TreeEntry[]): void {
  if (entries.length > TREE_ENTRIES_MAX) throw tooManyEntries();
  let bytes = 0;
  for (const entry of entries) {
    const fault = pathFault(entry.path);
    if (fault !== null) throw refused(entry.path, fault);
    bytes += entry.bytes;
    if (bytes > TREE_MAX_BYTES) throw refused(entry.path, `brings the tree above ${TREE_MAX_BYTES / 2 ** 30} GiB`);
  }
}

export function tooManyEntries(): OperatorError {
  return new OperatorError('SOURCE_REFUSED', `The tree of the commit has more than ${TREE_ENTRIES_MAX} entries.`);
}

function pathFault(path: string): string | null {
  // git's output is read as UTF-8; what is not becomes this character, and could not be named again.
  if (path.includes('\uFFFD')) return 'has a name that is not UTF-8';
  for (const part of path.split('/')) {
    if (part === '' || part === '.' || part === '..') return 'is not a path inside the tree';
    if (part.toLowerCase() === '.git') return 'has a part named .git';
  }
  return null;
}

/** Links are followed at most so often, as Linux does (path_resolution(7)). */
const LINK_STEPS_MAX = 40;

/**
 * The first symbolic link, of those in the tree, that leads out of it: absolute, above the root, by itself or through other links.
 * A link to something that is not there (yet) is fine: a build may make it.
 */
export function escapingLink(links: ReadonlyMap<string, string>): string | null {
  for (const path of links.keys()) if (!staysInside(path, links)) return path;
  return null;
}

function staysInside(path: string, links: ReadonlyMap<string, string>): boolean {
  const ahead = path.split('/');
  const at: string[] = [];
  let steps = 0;
  for (let part = ahead.shift(); part !== undefined; part = ahead.shift()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (at.pop() === undefined) return false;
      continue;
    }
    at.push(part);
    const target = links.get(at.join('/'));
    if (target === undefined) continue;
    steps += 1;
    if (posix.isAbsolute(target) || steps > LINK_STEPS_MAX) return false;
    at.pop();
    ahead.unshift(...target.split('/'));
  }
  return true;
}

export function refused(path: string, why: string): OperatorError {
  return new OperatorError('SOURCE_REFUSED', `${printable(path)} ${why}.`);
}

/** A path of others in a message of ours: quoted, no control characters, bounded. */
function printable(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}
