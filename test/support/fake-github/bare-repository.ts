import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A file of a commit: its text or bytes, an executable, a symbolic link, or null for "not there any more". */
export type FileChange =
  | string
  | Buffer
  | null
  | { readonly executable: string | Buffer }
  | { readonly symlink: string }
  /** A submodule: the commit of another repository. */
  | { readonly submodule: string };

export type FileChanges = Readonly<Record<string, FileChange>>;

/** Enough for any answer of git's here. */
const OUTPUT_MAX_BYTES = 16 * 1024 * 1024;
const GIT_TIMEOUT_MS = 60_000;

/** Nothing of the machine's or the user's own configuration decides what a test sees. */
const GIT_ENVIRONMENT = {
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
};

/** The git side of one repository of the stand-in GitHub: a bare repository, changed by git itself. */
export class BareRepository {
  readonly directory: string;
  /** Nothing is ever collected here: a commit that was there is there. Each asking for it would be a process beside what is tested. */
  private readonly commits = new Set<string>();

  constructor(directory: string) {
    this.directory = directory;
  }

  static async create(directory: string): Promise<BareRepository> {
    await mkdir(directory, { recursive: true });
    const repository = new BareRepository(directory);
    await repository.git('init', '--quiet', '--bare', '--initial-branch=main', '.');
    // As GitHub does: a commit can be fetched by its id, also when no branch points at it any more.
    await repository.git('config', 'uploadpack.allowAnySHA1InWant', 'true');
    await repository.git('config', 'gc.auto', '0');
    return repository;
  }

  async git(...words: string[]): Promise<string> {
    const { stdout } = await run('git', words, {
      cwd: this.directory,
      env: GIT_ENVIRONMENT,
      maxBuffer: OUTPUT_MAX_BYTES,
      timeout: GIT_TIMEOUT_MS,
    });
    return stdout.trim();
  }

  /** The commit that a ref points at, or null. */
  async resolve(ref: string): Promise<string | null> {
    if (this.commits.has(ref)) return ref;
    try {
      const sha = await this.git('rev-parse', '--verify', '--quiet', `${ref}^{commit}`);
      this.commits.add(sha);
      return sha;
    } catch {
      return null;
    }
  }

  /** Commits changes on top of `parent` (none: a root commit) and makes the ref point there, wherever it pointed before. */
  async commit(
    ref: string,
    changes: FileChanges,
    options: { parent: string | null; message: string; at: Date },
  ): Promise<string> {
    const seconds = Math.floor(options.at.getTime() / 1_000);
    const parts: (string | Buffer)[] = [
      `commit ${ref}\ncommitter Octo Cat <octocat@example.com> ${seconds} +0000\n`,
      ...dataOf(options.message),
      ...(options.parent === null ? ['deleteall\n'] : [`from ${options.parent}\n`]),
      ...Object.entries(changes).flatMap(([path, change]) => changeOf(path, change)),
      'done\n',
    ];
    await this.fastImport(Buffer.concat(parts.map((part) => Buffer.from(part))));
    const sha = await this.resolve(ref);
    if (sha === null) throw new Error(`git did not make the commit on ${ref}`);
    return sha;
  }

  /** Copies a ref of another repository, with its commits. */
  async fetch(from: BareRepository, ref: string, to: string): Promise<void> {
    await this.git('fetch', '--quiet', '--no-tags', from.directory, `+${ref}:${to}`);
  }

  private async fastImport(stream: Buffer): Promise<void> {
    const importing = run('git', ['fast-import', '--quiet', '--force', '--done'], {
      cwd: this.directory,
      env: GIT_ENVIRONMENT,
      timeout: GIT_TIMEOUT_MS,
    });
    importing.child.stdin?.on('error', () => {});
    importing.child.stdin?.end(stream);
    await importing;
  }
}

function dataOf(content: string | Buffer): (string | Buffer)[] {
  const bytes = Buffer.from(content);
  return [`data ${bytes.length}\n`, bytes, '\n'];
}

function changeOf(path: string, change: FileChange): (string | Buffer)[] {
  const name = JSON.stringify(path);
  if (change === null) return [`D ${name}\n`];
  if (typeof change === 'string' || Buffer.isBuffer(change)) return [`M 100644 inline ${name}\n`, ...dataOf(change)];
  if ('executable' in change) return [`M 100755 inline ${name}\n`, ...dataOf(change.executable)];
  if ('submodule' in change) return [`M 160000 ${change.submodule} ${name}\n`];
  return [`M 120000 inline ${name}\n`, ...dataOf(change.symlink)];
}
