/** The files of an instance: given to its user, and taken away. */
import { lchownSync } from 'node:fs';
import { chmod, chown, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { environmentFileText } from '../../../core/environment.ts';
import type { Shell } from '../../../ports.ts';
import type { InstanceLayout } from './layout.ts';
import { groupText, passwdText, UID_INSIDE, type SandboxOptions } from './sandbox.ts';

/** Writes what the sandbox shows of /etc, and gives the app's files to its user where that is not ours. */
export async function prepare(options: SandboxOptions, signal: AbortSignal): Promise<void> {
  const { layout, uid, environment } = options;
  const shownUid = uid ?? UID_INSIDE;
  // bubblewrap, as root without its powers, has to enter them; they lie where nobody else can.
  const mode = options.programs.bubblewrap === null ? 0o700 : 0o755;
  await Promise.all([
    writeFile(layout.passwd, passwdText(shownUid), { mode: 0o644 }),
    writeFile(layout.group, groupText(shownUid), { mode: 0o644 }),
    writeFile(layout.environmentFile, environmentFileText(environment), { mode: 0o600 }).then(() =>
      uid === null ? undefined : chown(layout.environmentFile, uid, uid),
    ),
    ...[layout.source, layout.repository].map((path) => chmod(path, mode)),
    uid === null ? undefined : giveTrees(uid, layout, signal),
  ]);
}

/** Nothing is to be done for those whose top is the user's already: that is changed last. */
async function giveTrees(uid: number, layout: InstanceLayout, signal: AbortSignal): Promise<void> {
  const paths = [layout.source, layout.home, layout.tmp, layout.repository];
  await Promise.all(
    paths.map(async (path) => {
      if ((await stat(path)).uid !== uid) await giveTree(path, uid, signal);
    }),
  );
}

/** So many at a stretch take a millisecond or two; in between, others have their turn. */
const FILES_AT_A_STRETCH = 250;

/**
 * Gives everything below a directory to a user, and the directory last. No link is followed, and nobody else may change the tree meanwhile: nothing of
 * the instance runs. (chown(1) took 30 ms of a preview's first second, nearly all of them for being started.)
 */
async function giveTree(directory: string, uid: number, signal: AbortSignal): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true });
  for (const [index, entry] of entries.entries()) {
    signal.throwIfAborted();
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await giveTree(path, uid, signal);
    // 5 µs; through the thread pool it would be 35.
    else lchownSync(path, uid, uid);
    if (index % FILES_AT_A_STRETCH === FILES_AT_A_STRETCH - 1) await setImmediate();
  }
  lchownSync(directory, uid, uid);
}

/** Also when the app has taken away its own right to enter a directory: then we give it back first. */
export async function removeTree(shell: Shell, path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!['EACCES', 'EPERM', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await shell.run({ argv: ['chmod', '-R', 'u+rwx', '--', path], timeoutMs: 60_000 });
    await rm(path, { recursive: true, force: true });
  }
}

export async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
