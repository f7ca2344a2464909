/**
 * Who may run. Pure: (what GitHub says, what the operator said) → what should exist. Everything that decides whether code of a
 * pull request is fetched or run is in this file; callers only act on the answer.
 */
import { z } from 'zod';
import { headOf, type AbsenceReason, type Hold, type RefusalReason } from './preview.ts';
import {
  isSameRepository,
  ownerOf,
  type ObservedSubject,
  type PreviewKey,
  type RepositoryName,
  type Revision,
  type Sha,
} from './pull-request.ts';

/** What the operator's configuration says about who may run. */
export interface Policy {
  /** `owner/name`, or `owner/*` for all of an owner's repositories. Never empty: the configuration refuses that. */
  readonly repositories: readonly string[];
  /** Whether drafts get previews. */
  readonly drafts: boolean;
}

/** A name and the hash of a password that a browser asks for before it shows a preview. Neither holds a character that means something to Caddy. */
export const basicAuthSchema = z.strictObject({
  user: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1–64 letters, digits and . _ -'),
  hash: z
    .string()
    .regex(
      /^\$2[aby]\$(?:0[4-9]|1[0-9])\$[./A-Za-z0-9]{53}$/,
      'must be a bcrypt hash: the output of `caddy hash-password`',
    ),
});
export type BasicAuth = Readonly<z.infer<typeof basicAuthSchema>>;

/** Which previews ask for a password. */
export interface BasicAuthEntry extends BasicAuth {
  /** `owner/name`, or `owner/*`. */
  readonly repository: string;
}

/** The password of a repository's previews: that of the first entry which names it, or null. */
export function basicAuthOf(entries: readonly BasicAuthEntry[], repository: RepositoryName): BasicAuth | null {
  const entry = entries.find((each) => isAllowedRepository({ repositories: [each.repository] }, repository));
  return entry === undefined ? null : { user: entry.user, hash: entry.hash };
}

/** What should exist, and why. */
export type Desired =
  | {
      readonly kind: 'present';
      readonly repository: RepositoryName;
      readonly revision: Revision;
      /** The head, where a rollback shows an earlier commit instead. */
      readonly rolledBackFrom?: Sha;
    }
  /** Nothing of it may be fetched or run, but the pull request is told why. */
  | {
      readonly kind: 'refused';
      readonly repository: RepositoryName;
      readonly revision: Revision;
      readonly reason: RefusalReason;
    }
  /** Nothing may exist. */
  | { readonly kind: 'absent'; readonly reason: AbsenceReason }
  /** We could not learn what is wanted: keep what there is, in working order, and change nothing. */
  | { readonly kind: 'unknown' };

/** Dependabot writes to branches of the repository itself, with dependencies that nobody has looked at (threat model, A1). */
const DEPENDABOT_AUTHORS: ReadonlySet<string> = new Set(['dependabot[bot]', 'dependabot-preview[bot]']);

/** Whether previews of a repository may exist at all. Names are compared as GitHub does, without regard to case. */
export function isAllowedRepository(policy: Pick<Policy, 'repositories'>, repository: RepositoryName): boolean {
  return policy.repositories.some((entry) =>
    entry.endsWith('/*')
      ? entry.slice(0, -2).toLowerCase() === ownerOf(repository).toLowerCase()
      : isSameRepository(entry as RepositoryName, repository),
  );
}

/**
 * What should exist for a preview. `observed` null means that GitHub could not be asked.
 * A 404 is never a reason to destroy: access may be lost for an hour, a closed pull request is said to be closed.
 */
export function desiredFrom(
  policy: Policy,
  subject: { key: PreviewKey; repository: RepositoryName; hold: Hold | null },
  observed: ObservedSubject | null,
): Desired {
  const repository = observed === null || observed.state === 'missing' ? subject.repository : observed.repository;
  if (!isAllowedRepository(policy, repository)) return { kind: 'absent', reason: 'repository-not-allowed' };
  if (observed?.state === 'closed') return { kind: 'absent', reason: 'closed' };
  const { hold } = subject;
  if (hold?.kind === 'destroyed' && subject.key.subject.kind === 'branch')
    return { kind: 'absent', reason: 'destroyed-by-operator' };
  if (observed === null || observed.state === 'missing') {
    return hold?.kind === 'destroyed' ? { kind: 'absent', reason: 'destroyed-by-operator' } : { kind: 'unknown' };
  }

  const { revision } = observed;
  if (hold?.kind === 'destroyed' && hold.whileHead === revision.sha)
    return { kind: 'absent', reason: 'destroyed-by-operator' };
  const reason = refusalOf(policy, subject.key, observed);
  if (reason !== null) return { kind: 'refused', repository, revision, reason };
  const isPinned = hold?.kind === 'pinned' && hold.whileHead === revision.sha;
  return isPinned && hold.revision.sha !== revision.sha
    ? { kind: 'present', repository, revision: hold.revision, rolledBackFrom: revision.sha }
    : { kind: 'present', repository, revision };
}

/** Whether the head has moved on from the one that an operator's word was about. */
export function isHoldOver(hold: Hold, desired: Desired): boolean {
  return (desired.kind === 'present' || desired.kind === 'refused') && headOf(desired) !== hold.whileHead;
}

/**
 * Why this commit may not run, or null. The place for approvals: an approval will be a row bound to one commit, looked up by the
 * caller and passed in here.
 */
function refusalOf(
  policy: Policy,
  key: PreviewKey,
  observed: Extract<ObservedSubject, { state: 'open' }>,
): RefusalReason | null {
  if (observed.headRepositoryId === null) return 'fork-deleted';
  if (observed.headRepositoryId !== key.repositoryId) return 'fork';
  if (DEPENDABOT_AUTHORS.has(observed.author)) return 'dependabot';
  if (observed.draft && !policy.drafts) return 'draft';
  return null;
}
