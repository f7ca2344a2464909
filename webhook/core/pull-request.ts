/**
 * What we know of GitHub's world, in our own words. GitHub's payloads are parsed at the edge (adapters/github) into these
 * types and never travel further.
 */

/** Path of the URL that GitHub sends our webhook to; a proxy may put something in front. */
export const WEBHOOK_PATH = '/webhook/github';

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A full commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits. Safe as an argument of git. */
export type Sha = Branded<string, 'Sha'>;

/** `owner/name` within GitHub's own grammar. Safe in a URL path and, split at the slash, as two path segments. */
export type RepositoryName = Branded<string, 'RepositoryName'>;

const SHA = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Null when the text is not a full commit id. */
export function parseSha(text: string): Sha | null {
  return SHA.test(text) ? (text as Sha) : null;
}

// GitHub: an owner has 1–39 letters, digits and single inner hyphens (enterprise-managed users add `_short`); a repository has
// 1–100 of letters, digits, `.`, `_`, `-`, is neither `.` nor `..`, and does not end in `.git`.
const OWNER = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,37}[A-Za-z0-9])?(?:_[A-Za-z0-9]{1,8})?$/;
const REPOSITORY = /^[A-Za-z0-9._-]{1,100}$/;

/** Null when the text is not a possible `owner/name`. */
export function parseRepositoryName(text: string): RepositoryName | null {
  const parts = text.split('/');
  const [owner = '', name = ''] = parts;
  if (parts.length !== 2 || !OWNER.test(owner) || !REPOSITORY.test(name)) return null;
  if (name === '.' || name === '..' || name.toLowerCase().endsWith('.git')) return null;
  return text as RepositoryName;
}

export function ownerOf(repository: RepositoryName): string {
  return repository.slice(0, repository.indexOf('/'));
}

export function shortNameOf(repository: RepositoryName): string {
  return repository.slice(repository.indexOf('/') + 1);
}

/** GitHub compares repository names without regard to case; so do we. */
export function isSameRepository(a: RepositoryName, b: RepositoryName): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** What a preview follows: a pull request, or (by `preview create`) a branch that has none. */
export type Subject =
  | { readonly kind: 'pull'; readonly number: number }
  | { readonly kind: 'branch'; readonly name: string };

/** The identity of a preview. Repositories are known by id: names change hands, ids do not. */
export interface PreviewKey {
  readonly repositoryId: number;
  readonly subject: Subject;
}

/** Pull request numbers and repository ids are positive integers; GitHub's numbers fit in 31 bits, its ids in 53. */
export const PULL_NUMBER_MAX = 2 ** 31 - 1;

/** The key as one line of text, the same for the same preview: `81/pull/42`, `81/branch/feature/x`. */
export function keyText(key: PreviewKey): string {
  const { subject } = key;
  return `${key.repositoryId}/${subject.kind}/${subject.kind === 'pull' ? subject.number : subject.name}`;
}

/** The inverse of keyText. Null when the text is not a key. */
export function parseKeyText(text: string): PreviewKey | null {
  const match = /^([1-9][0-9]{0,15})\/(pull|branch)\/(.+)$/s.exec(text);
  if (match === null) return null;
  const [, id = '', kind, rest = ''] = match;
  const repositoryId = Number(id);
  if (!Number.isSafeInteger(repositoryId)) return null;
  if (kind === 'branch') return isBranchName(rest) ? { repositoryId, subject: { kind: 'branch', name: rest } } : null;
  if (!/^[1-9][0-9]{0,9}$/.test(rest) || Number(rest) > PULL_NUMBER_MAX) return null;
  return { repositoryId, subject: { kind: 'pull', number: Number(rest) } };
}

/**
 * Whether git would accept the text as a branch name (git-check-ref-format, rules 1–9), and it does not start with a hyphen.
 * Used where an operator types a branch; the head ref of a pull request is only ever displayed.
 */
export function isBranchName(text: string): boolean {
  if (text.length === 0 || Buffer.byteLength(text) > 244 || text === '@') return false;
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  if (/[\x00-\x20\x7f~^:?*[\\]/.test(text) || text.includes('..') || text.includes('@{') || text.includes('//'))
    return false;
  if (text.startsWith('-') || text.startsWith('/') || text.endsWith('/') || text.endsWith('.')) return false;
  return text.split('/').every((part) => !part.startsWith('.') && !part.endsWith('.lock'));
}

/** A commit to show, and the name of the branch it was the head of (for display and PREVIEW_BRANCH only, never to fetch by). */
export interface Revision {
  readonly sha: Sha;
  readonly ref: string;
}

/** The first characters of a commit id, as people write it. */
export function shortSha(sha: Sha): string {
  return sha.slice(0, 8);
}

/** What a webhook request turned out to be. `rejected.status` is the HTTP status GitHub gets; docs/reference/http-api.md lists them all. */
export type IncomingDelivery =
  | { readonly kind: 'event'; readonly deliveryId: string; readonly event: PullRequestEvent }
  /** Somebody else edited or deleted a comment on a pull request; it may be ours. */
  | { readonly kind: 'comment'; readonly deliveryId: string; readonly key: PreviewKey; readonly commentId: number }
  | { readonly kind: 'ignored'; readonly deliveryId: string; readonly reason: string }
  | { readonly kind: 'ping'; readonly deliveryId: string }
  | { readonly kind: 'rejected'; readonly status: 400 | 401 | 415; readonly code: string; readonly message: string };

/** A pull request of a list. */
export interface OpenPullRequest {
  readonly key: PreviewKey;
  /** The present name; GitHub also answers to older ones, whoever owns the repository now. */
  readonly repository: RepositoryName;
}

/** What GitHub says of a pull request or branch at the moment we ask. The only truth we act on. */
export type ObservedSubject =
  | {
      readonly state: 'open';
      readonly repository: RepositoryName;
      readonly revision: Revision;
      /** The repository the commit comes from; null when that fork was deleted. */
      readonly headRepositoryId: number | null;
      /** Lower-case login of the author; empty for a branch. */
      readonly author: string;
      readonly draft: boolean;
    }
  | { readonly state: 'closed'; readonly repository: RepositoryName }
  /** 404, or another repository under the old name. Proves nothing: access may have been lost for an hour. */
  | { readonly state: 'missing' };

/** What a delivery told us: that there is a reason to look. Everything else is read from GitHub when we do. */
export interface PullRequestEvent {
  readonly key: PreviewKey;
  readonly repository: RepositoryName;
  readonly action: string;
}
