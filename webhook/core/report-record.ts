/** What was told to a pull request, and which of its comments is ours. Pure; the comment itself is adapters/github/reports.ts. */
import { createHash } from 'node:crypto';
import { CLOCKS_APART_MS } from './limits.ts';
import type { PreviewKey, RepositoryName, Sha } from './pull-request.ts';
import type { Report } from './report.ts';

/** What was last told to a pull request, and where. */
export interface ReportRecord {
  readonly key: PreviewKey;
  readonly repository: RepositoryName;
  /** Our comment; found by this id, never by its text. */
  readonly commentId: number | null;
  /** Since when a comment of ours may be there whose id we never learned; null where there can be none. */
  readonly creatingSince: Date | null;
  /** Hash of what the comment says; unequal means that it has to be edited. */
  readonly commentHash: string | null;
  readonly status: { readonly sha: Sha; readonly hash: string } | null;
  /** When a look at the comment itself was last asked for: somebody may have edited or deleted it. */
  readonly lookAskedAt: Date | null;
  /** The request that the last look answered. */
  readonly lookedAt: Date | null;
}

/** The record of a pull request that was never told anything. */
export function nothingTold(key: PreviewKey, repository: RepositoryName): ReportRecord {
  return {
    key,
    repository,
    commentId: null,
    creatingSince: null,
    commentHash: null,
    status: null,
    lookAskedAt: null,
    lookedAt: null,
  };
}

/** What `ReportRecord.commentHash` is once the comment says this. */
export function commentHashOf(report: Report): string {
  return hashOf(report.comment);
}

/** What the hash of a status begins with that speaks of work being done. */
const UNDER_WAY = 'under way ';

/** What `ReportRecord.status.hash` is once the commit has this status. */
export function statusHashOf({ state, description, url, isUnderWay }: NonNullable<Report['status']>): string {
  return `${isUnderWay ? UNDER_WAY : ''}${hashOf(JSON.stringify([state, description, url]))}`;
}

/** The commit whose status, as far as we know, still says that work is being done; or null. */
export function unfinishedIn({ status }: ReportRecord): Sha | null {
  return status?.hash.startsWith(UNDER_WAY) === true ? status.sha : null;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/**
 * Whether the comment itself must be read before it is believed to say what was written last: a look was asked for since the last one, or
 * nobody will ask for one any more.
 */
export function isLookDue({ lookAskedAt, lookedAt }: ReportRecord, report: Report): boolean {
  return report.isLastWord || (lookAskedAt !== null && (lookedAt === null || lookedAt < lookAskedAt));
}

/**
 * What can be said to be told while `report` is being told, from `now` on: what is about to be replaced is not known any more, and a comment that is
 * about to be made may be there or not, for the try may be cut off before or after GitHub took it. A status that is about to be set may be there and
 * speak of work being done.
 */
export function whileTelling(before: ReportRecord, report: Report, now: Date): ReportRecord {
  const { status } = report;
  const isStatusKept =
    status === null || (before.status?.sha === status.sha && before.status.hash === statusHashOf(status));
  const isToBeMade = before.commentId === null && report.mayCreate;
  return {
    ...before,
    creatingSince: before.creatingSince ?? (isToBeMade ? now : null),
    commentHash: before.commentHash === commentHashOf(report) ? before.commentHash : null,
    status: isStatusKept ? before.status : { sha: status.sha, hash: UNDER_WAY },
  };
}

/** A comment of a pull request, as GitHub lists it. Its times are whole seconds. */
export interface ListedComment {
  readonly id: number;
  /** Null when the account is gone. */
  readonly author: string | null;
  readonly body: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** How comments that were made by us are told from others. */
export interface CommentSigns {
  /** The account that we comment with. It may be a person's, who comments with it too. */
  readonly login: string;
  /** In the text of each of our comments; nobody else can make it. */
  readonly marker: string;
  /** What every marker begins with, another operator's too. */
  readonly anyMarker: string;
}

/**
 * The comment that an earlier try left before its id could be stored, or null. Ours by account and marker; or, where somebody has replaced the text
 * and the marker with it, by account and by having been edited since it was made, in the time in which we tried to make one. Anything less could be
 * what a person wrote, which is never overwritten: then there is a second comment.
 */
export function leftOverComment(
  comments: readonly ListedComment[],
  { login, marker, anyMarker }: CommentSigns,
  creatingSince: Date | null,
): ListedComment | null {
  const ours = comments.filter(({ author }) => author === login);
  const marked = ours.find(({ body }) => body.includes(marker));
  if (marked !== undefined || creatingSince === null) return marked ?? null;
  const fromMs = creatingSince.getTime() - CLOCKS_APART_MS;
  const isReplaced = ({ body, createdAt, updatedAt }: ListedComment) =>
    createdAt.getTime() >= fromMs && updatedAt > createdAt && !body.includes(anyMarker);
  return ours.find(isReplaced) ?? null;
}
