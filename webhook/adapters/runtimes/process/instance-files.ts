/** The files of an instance: given to its user, and taken away. */
import { chmod, chown, rm, stat, writeFile } from 'node:fs/promises';
import { environmentFileText } from '../../../core/environment.ts';
import { OperatorError } from '../../../core/errors.ts';
import type { Shell } from '../../../ports.ts';
import type { InstanceLayout } from './layout.ts';
import { groupText, passwdText, UID_INSIDE, type SandboxOptions } from './sandbox.ts';

/** Writes what the sandbox shows of /etc, and gives the app's files to its user where that is not ours. */
export async function prepare(shell: Shell, options: SandboxOptions, signal: AbortSignal): Promise<void> {
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
    uid === null ? undefined : giveTrees(shell, uid, layout, signal),
  ]);
}

/** Nothing is to be done for those whose top is the user's already: that is changed last. */
async function giveTrees(shell: Shell, uid: number, layout: InstanceLayout, signal: AbortSignal): Promise<void> {
  const paths = [layout.source, layout.home, layout.tmp, layout.repository];
  const owners = await Promise.all(paths.map(async (path) => (await stat(path)).uid));
  const foreign = paths.filter((_, index) => owners[index] !== uid);
  if (foreign.length === 0) return;
  const argv = ['chown', '--recursive', '--no-dereference', '--', `${uid}:${uid}`, ...foreign] as const;
  const result = await shell.run({ argv, timeoutMs: 60_000 }, signal);
  if (result.exitCode !== 0) {
    const detail = result.stderr;
    throw new OperatorError('RUNTIME_FAILED', 'The files could not be given to their user.', { detail });
  }
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
