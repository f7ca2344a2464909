/**
 * Commits from a git server, and their trees on this host.
 *
 * One bare mirror per repository, known by its id, as `<directory>/<id>.git`. A commit that was asked for is fetched alone, without its
 * history, and kept there by name. A mirror holds nothing that could not be fetched again: one that is broken, for whatever reason
 * (power cut, full disk, another git killed in it), is replaced by a fresh one, and no repair is tried.
 */
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorError } from '../../core/errors.ts';
import { MIRROR_COMMITS_MAX } from '../../core/limits.ts';
import type { Sha } from '../../core/pull-request.ts';
import type { Log, Shell, ShellCommand, ShellResult, SourceRequest, Sources } from '../../ports.ts';
import {
  blobCommand,
  entryCommand,
  fetchRefCommand,
  fetchShaCommand,
  initCommand,
  keepCommand,
  refOf,
  remoteRefOf,
  type Remote,
} from './commands.ts';
import { placeTree } from './place-tree.ts';
import { KeyedTurns } from './keyed-turns.ts';
import { entriesFrom, refused, type TreeEntry } from './tree-check.ts';

export interface GitSourcesOptions {
  /** For the mirrors; made when it is not there. */
  readonly directory: string;
  /** What stands before `/<owner>/<name>.git`: `https://github.com`, or `http://…` and `file:///…` for a server of one's own. */
  readonly cloneBase: string;
  /** A token that may read the repositories, asked for at each fetch, because those of a GitHub App expire. Null for none. */
  readonly token: () => Promise<string | null>;
  readonly shell: Shell;
  readonly log: Log;
}

/** The transports that run nothing but git itself: `ext::` would run any command, ssh the user's configuration. */
const TRANSPORTS: ReadonlySet<string> = new Set(['https:', 'http:', 'file:']);

/**
 * Sources over the git command. The token is handed to git in its environment, never in a word list, a file or an error.
 * Throws a RangeError for a `cloneBase` that is not an https, http or file URL.
 */
export function gitSources(options: GitSourcesOptions): Sources {
  if (!TRANSPORTS.has(URL.parse(options.cloneBase)?.protocol ?? ''))
    throw new RangeError('the base of clone URLs must be an https, http or file URL');
  const turns = new KeyedTurns<number>();

  /** Does what reads the mirror. One that has the commit and cannot give it is broken: it is replaced, and asked once more. */
  const reading = async <Result>(
    source: SourceRequest,
    signal: AbortSignal,
    read: (mirror: string) => Promise<Result>,
  ): Promise<Result> => {
    try {
      return await read(mirrorOf(options, source));
    } catch (error) {
      const isAnswer = error instanceof OperatorError && error.code !== 'SOURCE_UNAVAILABLE';
      if (signal.aborted || isAnswer) throw error;
      options.log.warn({ repositoryId: source.key.repositoryId, error }, 'replacing a broken mirror');
      await turns.run(source.key.repositoryId, signal, () => replaceMirror(options, source, signal));
      return read(mirrorOf(options, source));
    }
  };

  return {
    ensure: (source, signal) => turns.run(source.key.repositoryId, signal, () => ensureCommit(options, source, signal)),
    readFile: (source, path, maxBytes) =>
      reading(source, NEVER, (mirror) => readFileOf(options.shell, mirror, source.revision.sha, path, maxBytes)),
    hasFile: (source, path) =>
      reading(source, NEVER, async (mirror) => {
        const entry = await entryOf(options.shell, mirror, source.revision.sha, path);
        return entry !== null && entry.kind !== 'directory';
      }),
    place: (source, directory, signal) =>
      reading(source, signal, (mirror) => placeTree(options.shell, mirror, source.revision, directory, signal)),
    removeUnused: (repositoryIds) => removeUnused(options, repositoryIds, turns),
  };
}

/** Lookups of a file come without a signal; each command in them has its own limit in time. */
const NEVER = new AbortController().signal;

function mirrorOf(options: GitSourcesOptions, source: SourceRequest): string {
  return join(options.directory, `${source.key.repositoryId}.git`);
}

async function ensureCommit(options: GitSourcesOptions, source: SourceRequest, signal: AbortSignal): Promise<void> {
  const mirror = mirrorOf(options, source);
  const { sha } = source.revision;
  if (await isThere(join(mirror, refOf(sha)))) return;
  if (!(await isThere(join(mirror, 'HEAD'))) || (await isFull(mirror))) return replaceMirror(options, source, signal);
  const outcome = await fetchInto(options, mirror, source, signal);
  if (outcome.kind === 'not-found') throw commitNotFound(sha);
  // Whether the server or the mirror is at fault cannot be told from git's words; a fresh mirror tells.
  if (outcome.kind === 'failed') return replaceMirror(options, source, signal);
}

/** Fetches into a new mirror and puts it in the place of the old one, which stays where it is when that fails. */
async function replaceMirror(options: GitSourcesOptions, source: SourceRequest, signal: AbortSignal): Promise<void> {
  const mirror = mirrorOf(options, source);
  const fresh = `${mirror}.new`;
  const old = `${mirror}.old`;
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  await rm(fresh, { recursive: true, force: true });
  await rm(old, { recursive: true, force: true });
  try {
    const made = await options.shell.run(initCommand(options.directory, fresh), signal);
    if (made.exitCode !== 0) throw unavailable(made);
    const outcome = await fetchInto(options, fresh, source, signal);
    if (outcome.kind === 'not-found') throw commitNotFound(source.revision.sha);
    if (outcome.kind === 'failed') throw unavailable(outcome.result);
    await rename(mirror, old).catch(ignoreAbsence);
    await rename(fresh, mirror);
  } finally {
    await rm(fresh, { recursive: true, force: true });
    await rm(old, { recursive: true, force: true });
  }
}

type FetchOutcome =
  | { readonly kind: 'fetched' }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'failed'; readonly result: ShellResult };

/**
 * The commit by its id; where the server does not give that, through the ref that the key follows. A branch that moved on still leads to
 * its older commits, and refs/pull/N/head to those of forks.
 */
async function fetchInto(
  options: GitSourcesOptions,
  mirror: string,
  source: SourceRequest,
  signal: AbortSignal,
): Promise<FetchOutcome> {
  const { shell } = options;
  const { sha } = source.revision;
  const remote = await remoteOf(options, source);
  const exact = await shell.run(fetchShaCommand(mirror, remote, sha), signal);
  if (exact.exitCode === 0) return { kind: 'fetched' };
  if (exact.timedOut) return { kind: 'failed', result: exact };
  const byRef = await shell.run(fetchRefCommand(mirror, remote, remoteRefOf(source.key)), signal);
  const kept = await shell.run(keepCommand(mirror, sha), signal);
  if (kept.exitCode === 0) return { kind: 'fetched' };
  // Both have to be the server's word: a locked or torn mirror of ours fails the first as well.
  const isAnswer = saysNotThere(exact) && (byRef.exitCode === 0 || saysNotThere(byRef));
  return isAnswer ? { kind: 'not-found' } : { kind: 'failed', result: exact };
}

/** git's words (LC_ALL=C) for "the server answered, and has no such thing". */
function saysNotThere(result: ShellResult): boolean {
  return /couldn't find remote ref|not our ref|unadvertised object/i.test(result.stderr);
}

async function remoteOf(options: GitSourcesOptions, source: SourceRequest): Promise<Remote> {
  const url = `${options.cloneBase.replace(/\/+$/, '')}/${source.repository}.git`;
  return { url, scheme: new URL(url).protocol.slice(0, -1), token: await options.token() };
}

async function entryOf(shell: Shell, mirror: string, sha: Sha, path: string): Promise<TreeEntry | null> {
  const listing = await answerOf(shell, entryCommand(mirror, sha, path));
  return entriesFrom(listing).find((entry) => entry.path === path) ?? null;
}

async function readFileOf(
  shell: Shell,
  mirror: string,
  sha: Sha,
  path: string,
  maxBytes: number,
): Promise<string | null> {
  const entry = await entryOf(shell, mirror, sha, path);
  if (entry === null) return null;
  if (entry.kind !== 'file') throw refused(path, `is a ${entry.kind}, where a file is needed`);
  if (entry.bytes > maxBytes) throw refused(path, `has ${entry.bytes} bytes; at most ${maxBytes} are read`);
  return answerOf(shell, blobCommand(mirror, entry.object, maxBytes));
}

/** Runs a git command that only looks. Throws SOURCE_UNAVAILABLE when it fails: then the mirror is not what it should be. */
async function answerOf(shell: Shell, command: ShellCommand): Promise<string> {
  const result = await shell.run(command);
  if (result.exitCode !== 0) throw unavailable(result);
  return result.stdout;
}

/** Git cannot shrink a shallow repository as cheaply as one fetch makes a new one, so a mirror that has grown is replaced. */
async function isFull(mirror: string): Promise<boolean> {
  const names = await readdir(join(mirror, 'refs', 'berth')).catch(() => []);
  return names.length >= MIRROR_COMMITS_MAX;
}

async function removeUnused(
  options: GitSourcesOptions,
  repositoryIds: ReadonlySet<number>,
  turns: KeyedTurns<number>,
): Promise<void> {
  const names = await readdir(options.directory).catch(() => []);
  for (const name of names) {
    const id = Number(/^([1-9][0-9]*)\.git/.exec(name)?.[1]);
    if (!Number.isSafeInteger(id) || repositoryIds.has(id)) continue;
    await turns.run(id, NEVER, () => rm(join(options.directory, name), { recursive: true, force: true }));
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function ignoreAbsence(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

function commitNotFound(sha: Sha): OperatorError {
  return new OperatorError('COMMIT_NOT_FOUND', `The repository does not have commit ${sha}.`);
}

function unavailable(result: ShellResult): OperatorError {
  const detail = result.stderr.trim().slice(-2_000);
  const how = result.timedOut ? 'git did not finish in time' : 'git failed';
  return new OperatorError('SOURCE_UNAVAILABLE', `The repository could not be fetched: ${how}.`, { detail });
}
