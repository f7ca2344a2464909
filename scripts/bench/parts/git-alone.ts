/** What git takes by itself for a commit that is brought up: the same commands as the operator's, one process after the other where it waits for them. */
import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  blobCommand,
  checkoutCommand,
  entryCommand,
  fetchShaCommand,
  initCommand,
  listCommand,
  packCommand,
  type Remote,
} from '../../../webhook/adapters/git/commands.ts';
import type { Sha } from '../../../webhook/core/pull-request.ts';
import type { ShellCommand } from '../../../webhook/ports.ts';
import type { Timed } from './steps.ts';

/** Makes an empty mirror: `git init`. */
export async function initAlone(mirror: string, timed: Timed): Promise<void> {
  await mkdir(join(mirror, '..'), { recursive: true });
  await timed('git init', () => git(initCommand(join(mirror, '..'), mirror)));
}

/** `git fetch` of a commit that the mirror does not have, and `git read` of its preview.toml. */
export async function fetchAlone(
  mirror: string,
  { remote, sha }: { remote: Remote; sha: Sha },
  timed: Timed,
): Promise<void> {
  await timed('git fetch', () => git(fetchShaCommand(mirror, remote, sha)));
  await timed('git read', async () => {
    const entry = await git(entryCommand(mirror, sha, 'preview.toml'));
    await git(blobCommand(mirror, (entry.split(/[\s\t]+/)[2] ?? '') as Sha, 65_536));
  });
}

/** The commit's tree and a pack of it, both of which go again. */
export async function placeAlone(mirror: string, sha: Sha): Promise<void> {
  const directory = `${mirror}.placed`;
  await mkdir(join(directory, 'source'), { recursive: true });
  await Promise.all([
    git(listCommand(mirror, sha)).then(() =>
      git(checkoutCommand(mirror, sha, join(directory, 'source'), join(directory, 'index'))),
    ),
    git(packCommand(mirror, sha, join(directory, 'pack'))),
  ]);
  await rm(directory, { recursive: true });
}

async function git({ argv: [program, ...words], cwd, env, stdin }: ShellCommand): Promise<string> {
  const running = promisify(execFile)(program, words, {
    cwd,
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env },
  });
  if (stdin !== undefined) running.child.stdin?.end(stdin);
  return (await running).stdout;
}
