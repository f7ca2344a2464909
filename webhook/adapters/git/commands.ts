/** Every git command line that we use, as word lists: no value in them but ids that our own types have proven, and paths of ours. */
import { FETCH_TIMEOUT_MS, PLACE_TIMEOUT_MS, TREE_ENTRIES_MAX } from '../../core/limits.ts';
import type { PreviewKey, Sha } from '../../core/pull-request.ts';
import type { ShellCommand } from '../../ports.ts';

/** Looking something up in a local repository takes milliseconds; half a minute is a disk in trouble. */
const ASK_TIMEOUT_MS = 30_000;

/** A path in a tree has on average some 50 bytes, its entry's other fields 70. */
const LISTING_MAX_BYTES = TREE_ENTRIES_MAX * 150;

/**
 * What git may do for us. Nobody's configuration counts but ours: no system or user file, no hooks, no credential helpers, no
 * prompts, no transport but the one of the base URL, and no background upkeep that would outlive the command.
 */
const OWN_CONFIG: readonly (readonly [name: string, value: string])[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.attributesFile', '/dev/null'],
  ['core.excludesFile', '/dev/null'],
  ['credential.helper', ''],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['submodule.recurse', 'false'],
  ['advice.detachedHead', 'false'],
  ['protocol.allow', 'never'],
  ['http.followRedirects', 'false'],
  // A server that has gone silent is given up after a minute, long before the fetch's own limit.
  ['http.lowSpeedLimit', '1000'],
  ['http.lowSpeedTime', '60'],
];

const OWN_ENVIRONMENT = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_LITERAL_PATHSPECS: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  LC_ALL: 'C',
};

/** The environment of a git command. Configuration travels in it, not in the word list: other users can read those. */
function environmentWith(config: readonly (readonly [name: string, value: string])[]): Record<string, string> {
  const all = [...OWN_CONFIG, ...config];
  const pairs = all.flatMap(([name, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, name],
    [`GIT_CONFIG_VALUE_${index}`, value],
  ]);
  return { ...OWN_ENVIRONMENT, GIT_CONFIG_COUNT: String(all.length), ...Object.fromEntries(pairs) };
}

function command(repository: string, words: readonly string[], more: Partial<ShellCommand> = {}): ShellCommand {
  return {
    argv: ['git', `--git-dir=${repository}`, ...words],
    cwd: repository,
    env: environmentWith([]),
    timeoutMs: ASK_TIMEOUT_MS,
    ...more,
  };
}

/** Where commits come from, and how to be let in. */
export interface Remote {
  readonly url: string;
  /** `https`, `http` or `file`: the only transport that git may use. */
  readonly scheme: string;
  readonly token: string | null;
}

/** Under this name a mirror keeps a commit that it was asked for. */
export function refOf(sha: Sha): string {
  return `refs/berth/${sha}`;
}

/**
 * The ref under which the server shows what the key follows: of a pull request also where the commit comes from a fork.
 * A branch name has passed isBranchName.
 */
export function remoteRefOf(key: PreviewKey): string {
  return key.subject.kind === 'pull' ? `refs/pull/${key.subject.number}/head` : `refs/heads/${key.subject.name}`;
}

export function initCommand(directory: string, repository: string): ShellCommand {
  return {
    argv: ['git', 'init', '--quiet', '--bare', '--template=', '--', repository],
    cwd: directory,
    env: environmentWith([]),
    timeoutMs: ASK_TIMEOUT_MS,
  };
}

function fetchCommand(mirror: string, remote: Remote, words: readonly string[]): ShellCommand {
  const credential = remote.token === null ? null : Buffer.from(`x-access-token:${remote.token}`).toString('base64');
  const config: [string, string][] = [[`protocol.${remote.scheme}.allow`, 'always']];
  // For this server alone. (No redirect is followed at all: git would take the header along.)
  if (credential !== null)
    config.push([`http.${new URL(remote.url).origin}/.extraHeader`, `Authorization: Basic ${credential}`]);
  const options = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules', '--refmap='];
  return command(mirror, ['fetch', ...options, ...words], {
    env: environmentWith(config),
    timeoutMs: FETCH_TIMEOUT_MS,
    ...(remote.token === null || credential === null ? {} : { secrets: [remote.token, credential] }),
  });
}

/** Exactly this commit, without its history: what an instance needs, in one round trip. */
export function fetchShaCommand(mirror: string, remote: Remote, sha: Sha): ShellCommand {
  return fetchCommand(mirror, remote, ['--depth=1', '--', remote.url, `+${sha}:${refOf(sha)}`]);
}

/**
 * Everything below a ref, for a server that gives no commit by its id. The depth is git's own "infinite", which also fills in what an
 * earlier fetch left out.
 */
export function fetchRefCommand(mirror: string, remote: Remote, ref: string): ShellCommand {
  return fetchCommand(mirror, remote, ['--depth=2147483647', '--', remote.url, `+${ref}:refs/berth/fallback`]);
}

/** Gives the commit its name in the mirror; fails when it is not there. */
export function keepCommand(mirror: string, sha: Sha): ShellCommand {
  return command(mirror, ['update-ref', '--', refOf(sha), sha]);
}

/** Entry of one path: `<mode> <type> <object> <size>\t<path>\0`, nothing when there is none. */
export function entryCommand(mirror: string, sha: Sha, path: string): ShellCommand {
  return command(mirror, ['ls-tree', '-z', '-l', '--full-tree', sha, '--', path]);
}

export function blobCommand(mirror: string, object: Sha, maxBytes: number): ShellCommand {
  return command(mirror, ['cat-file', 'blob', object], { outputMaxBytes: maxBytes + 1 });
}

/** Every entry of the tree, in the form of entryCommand. */
export function listCommand(mirror: string, sha: Sha): ShellCommand {
  return command(mirror, ['ls-tree', '-r', '-z', '-l', '--full-tree', sha], {
    outputMaxBytes: LISTING_MAX_BYTES,
    timeoutMs: PLACE_TIMEOUT_MS,
  });
}

/** Writes the tree into an empty directory, in one process. Line ends follow .gitattributes; filters do not exist here, so LFS pointers stay pointers. */
export function checkoutCommand(mirror: string, sha: Sha, directory: string, index: string): ShellCommand {
  const base = command(mirror, [`--work-tree=${directory}`, 'read-tree', '--reset', '-u', sha]);
  return { ...base, cwd: directory, env: { ...base.env, GIT_INDEX_FILE: index }, timeoutMs: PLACE_TIMEOUT_MS };
}

/** One pack of this commit without its parents, as `<base>-<hash>.pack`. Deltas are taken as they are, none are looked for: it is read once. */
export function packCommand(mirror: string, sha: Sha, base: string): ShellCommand {
  return command(mirror, ['pack-objects', '--quiet', '--revs', '--window=0', '--delta-base-offset', base], {
    stdin: `--shallow ${sha}\n${sha}\n`,
    timeoutMs: PLACE_TIMEOUT_MS,
  });
}
