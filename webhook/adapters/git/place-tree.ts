/** One commit's tree and a clonable copy of it, as plain files on this host. */
import { mkdir, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorError } from '../../core/errors.ts';
import { isBranchName, type Revision } from '../../core/pull-request.ts';
import type { Shell, ShellCommand } from '../../ports.ts';
import { checkoutCommand, listCommand, packCommand } from './commands.ts';
import { checkEntries, entriesFrom, escapingLink, refused, tooManyEntries, type TreeEntry } from './tree-check.ts';

/**
 * Fills `directory/source` and `directory/repository.git` from the mirror. Both appear whole or not at all: they are made beside their
 * place and renamed. Throws SOURCE_REFUSED before anything is written, or for a link that leaves the tree before it counts as placed.
 */
export async function placeTree(
  shell: Shell,
  mirror: string,
  revision: Revision,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const unfinished = join(directory, 'unfinished');
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  try {
    await Promise.all([
      placeSource(shell, mirror, revision, unfinished, signal),
      placeRepository(shell, mirror, revision, unfinished, signal),
    ]);
    for (const name of ['source', 'repository.git']) {
      await rm(join(directory, name), { recursive: true, force: true });
      await rename(join(unfinished, name), join(directory, name));
    }
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

async function placeSource(
  shell: Shell,
  mirror: string,
  { sha }: Revision,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const list = listCommand(mirror, sha);
  const listing = await run(shell, list, signal);
  if (Buffer.byteLength(listing) >= (list.outputMaxBytes ?? 0)) throw tooManyEntries();
  const entries = entriesFrom(listing);
  checkEntries(entries);

  const source = join(directory, 'source');
  await mkdir(source, { mode: 0o755 });
  await run(shell, checkoutCommand(mirror, sha, source, join(directory, 'index')), signal);
  await checkLinks(source, entries);
}

/** Only now can the targets be read without a process per link; nothing has followed them yet. */
async function checkLinks(source: string, entries: readonly TreeEntry[]): Promise<void> {
  const links = new Map<string, string>();
  for (const { kind, path } of entries) {
    if (kind === 'symlink') links.set(path, await readlink(join(source, path)));
  }
  const escaping = escapingLink(links);
  if (escaping !== null) throw refused(escaping, 'is a symbolic link that leads out of the tree');
}

/** Written by hand, because `git init` and `git fetch` would be five processes more. The format: gitrepository-layout(5). */
async function placeRepository(
  shell: Shell,
  mirror: string,
  { sha, ref }: Revision,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const repository = join(directory, 'repository.git');
  const branch = isBranchName(ref) ? ref : 'preview';
  await mkdir(join(repository, 'objects', 'pack'), { recursive: true });
  await mkdir(join(repository, 'refs', 'heads'), { recursive: true });
  await Promise.all([
    writeFile(join(repository, 'HEAD'), `ref: refs/heads/${branch}\n`),
    writeFile(join(repository, 'config'), configText(sha.length)),
    // The commit's parents are not here, and git is told so.
    writeFile(join(repository, 'shallow'), `${sha}\n`),
    // In one file, so that the branch's name never becomes a path.
    writeFile(
      join(repository, 'packed-refs'),
      `# pack-refs with: peeled fully-peeled sorted\n${sha} refs/heads/${branch}\n`,
    ),
    run(shell, packCommand(mirror, sha, join(repository, 'objects', 'pack', 'pack')), signal),
  ]);
}

function configText(shaLength: number): string {
  return shaLength === 40
    ? '[core]\n\trepositoryformatversion = 0\n\tbare = true\n'
    : '[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n';
}

async function run(shell: Shell, command: ShellCommand, signal: AbortSignal): Promise<string> {
  const result = await shell.run(command, signal);
  if (result.exitCode === 0) return result.stdout;
  const how = result.timedOut ? 'git did not finish in time' : 'git failed';
  throw new OperatorError('SOURCE_UNAVAILABLE', `The files of the commit could not be placed: ${how}.`, {
    detail: result.stderr.trim().slice(-2_000),
  });
}
