/** Real git repositories for tests, in a temporary directory of the test's own. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSha, type Sha } from '../../webhook/core/pull-request.ts';

const ENVIRONMENT = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'A Test',
  GIT_AUTHOR_EMAIL: 'test@example.com',
  GIT_COMMITTER_NAME: 'A Test',
  GIT_COMMITTER_EMAIL: 'test@example.com',
};

/** Path → content; a symbolic link is `{ link: target }`; null removes. */
export type Files = Readonly<Record<string, string | Buffer | { readonly link: string } | null>>;

export interface TestRepository {
  /** The bare repository that is fetched from. */
  readonly bare: string;
  git(...words: string[]): string;
  /** Changes these files on the branch that is checked out, commits, and publishes it under the ref. */
  commit(files: Files, ref?: string): Sha;
}

/** `<root>/<name>.git`, served as it is through `file://<root>`, with a work tree beside it. */
export function aGitRepository(root: string, name: string): TestRepository {
  const bare = join(root, `${name}.git`);
  const work = join(root, 'work', name);
  mkdirSync(work, { recursive: true });
  const git = (...words: string[]) =>
    execFileSync('git', words, {
      cwd: work,
      env: ENVIRONMENT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', bare], { env: ENVIRONMENT });
  git('init', '--quiet', '--initial-branch=main');
  return {
    bare,
    git,
    commit(files, ref = 'refs/heads/main') {
      for (const [path, content] of Object.entries(files)) writeEntry(join(work, path), content);
      git('add', '--all', '--force');
      git('commit', '--quiet', '--allow-empty', '-m', 'a commit');
      git('push', '--quiet', '--force', bare, `HEAD:${ref}`);
      const sha = parseSha(git('rev-parse', 'HEAD'));
      if (sha === null) throw new Error('git gave no commit id');
      return sha;
    },
  };
}

function writeEntry(path: string, content: Files[string]): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  if (content === null || content === undefined) return;
  mkdirSync(dirname(path), { recursive: true });
  if (typeof content === 'string' || Buffer.isBuffer(content)) writeFileSync(path, content);
  else symlinkSync(content.link, path);
}
