/**
 * One comment per pull request, edited in place, and one commit status. The comment is found by the id that we stored. Only before the first one is
 * created do we look through the comments, for one that an earlier try left before its id could be stored (core/report-record.ts says which is
 * ours). What others made of it is seen when a look is asked for, and put right once per look.
 */
import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { OperatorError } from '../../core/errors.ts';
import { keyText, type PreviewKey } from '../../core/pull-request.ts';
import {
  commentHashOf,
  isLookDue,
  leftOverComment,
  statusHashOf,
  type ListedComment,
  type ReportRecord,
} from '../../core/report-record.ts';
import type { Report } from '../../core/report.ts';
import type { Log, Reports } from '../../ports.ts';
import type { GitHubClient } from './github-client.ts';
import { orNullWhenMissing, refusalStatusOf } from './github-errors.ts';
import { pathOf } from './repositories.ts';

export interface ReportsSettings {
  /** Makes our markers. The webhook secret will do: a marker matters for seconds. */
  readonly markerSecret: string;
  readonly log: Pick<Log, 'warn'>;
}

/** The name under which the commit status is shown; a repository may require it before merging, so it never changes. */
const STATUS_CONTEXT = 'berth/preview';

const MARKER_START = '<!-- berth:';

const PAGE_SIZE = 100;
/** 3,000 comments. Ours is among the first of a pull request, as a rule. */
const PAGES_MAX = 30;

const commentAnswer = z.object({ body: z.string().optional() });
const listedAnswer = z
  .object({
    id: z.int().positive(),
    body: z.string().optional(),
    user: z.object({ login: z.string() }).nullable(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .transform(
    ({ id, body, user, created_at, updated_at }): ListedComment => ({
      id,
      author: user?.login ?? null,
      body: body ?? '',
      createdAt: new Date(created_at),
      updatedAt: new Date(updated_at),
    }),
  );
const anyAnswer = z.object({ id: z.int().positive() });

export function createReports(client: GitHubClient, settings: ReportsSettings): Reports {
  return {
    async ensure(before, report, signal) {
      const { key } = before;
      if (key.subject.kind !== 'pull') return before;
      const context = { client, settings, before, number: key.subject.number, signal };
      const comment = await ensureComment(context, report);
      const status = await ensureStatus(context, report);
      return { ...before, ...comment, status, lookedAt: before.lookAskedAt };
    },
  };
}

interface Context {
  readonly client: GitHubClient;
  readonly settings: ReportsSettings;
  readonly before: ReportRecord;
  readonly number: number;
  readonly signal: AbortSignal;
}

type CommentRecord = Pick<ReportRecord, 'commentId' | 'creatingSince' | 'commentHash'>;

async function ensureComment(context: Context, report: Report): Promise<CommentRecord> {
  const { before } = context;
  const { commentId } = before;
  const hash = commentHashOf(report);
  const marker = markerOf(context.settings.markerSecret, before.key);
  const body = `${report.comment}\n\n${marker}`;
  const said = (id: number | null): CommentRecord => ({ commentId: id, creatingSince: null, commentHash: hash });
  if (commentId !== null) {
    const isSaid = before.commentHash === hash;
    if (isSaid && (!isLookDue(before, report) || (await isIntact(context, commentId, body)))) return said(commentId);
    if (await editComment(context, commentId, body)) return said(commentId);
    return { commentId: null, creatingSince: null, commentHash: null };
  }
  const leftOver = await findComment(context, marker);
  if (leftOver === null) return said(report.mayCreate ? await createComment(context, body) : null);
  // GitHub showed it just now: if it says that there is none, one of the answers is wrong, and a second comment would stay for ever.
  await patchComment(context, leftOver.id, body);
  return said(leftOver.id);
}

/** Whether the comment still says this. */
async function isIntact({ client, before, signal }: Context, commentId: number, body: string): Promise<boolean> {
  const comment = await orNullWhenMissing(
    client.call({
      doing: `reading our comment in ${before.repository}`,
      kind: 'read',
      signal,
      answer: commentAnswer,
      send: (octokit, options) =>
        octokit.request('GET /repos/{owner}/{repo}/issues/comments/{comment_id}', {
          ...pathOf(before.repository),
          comment_id: commentId,
          ...options,
        }),
    }),
  );
  const withoutReturns = (text: string) => text.replaceAll('\r', '');
  // Text that was typed into GitHub's page comes back with other line ends than were sent.
  return comment?.body !== undefined && withoutReturns(comment.body) === withoutReturns(body);
}

/** False when GitHub says that there is no such comment. */
async function editComment(context: Context, commentId: number, body: string): Promise<boolean> {
  try {
    await patchComment(context, commentId, body);
    return true;
  } catch (error) {
    if (error instanceof OperatorError && refusalStatusOf(error.cause) === 404) return false;
    throw error;
  }
}

async function patchComment({ client, before, signal }: Context, commentId: number, body: string): Promise<void> {
  await client.call({
    doing: `editing our comment in ${before.repository}`,
    kind: 'write',
    signal,
    answer: anyAnswer,
    send: (octokit, options) =>
      octokit.request('PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}', {
        ...pathOf(before.repository),
        comment_id: commentId,
        body,
        ...options,
      }),
  });
}

/** Our comment's id, or null when the conversation takes none from us: then the commit status has to do. */
async function createComment(
  { client, settings, before, number, signal }: Context,
  body: string,
): Promise<number | null> {
  try {
    const created = await client.call({
      doing: `commenting on ${before.repository}#${number}`,
      kind: 'write',
      signal,
      answer: anyAnswer,
      send: (octokit, options) =>
        octokit.request('POST /repos/{owner}/{repo}/issues/{issue_number}/comments', {
          ...pathOf(before.repository),
          issue_number: number,
          body,
          ...options,
        }),
    });
    return created.id;
  } catch (error) {
    if (!isLockedOrGone(error)) throw error;
    settings.log.warn(
      { repository: before.repository, number, error },
      'GitHub takes no comment there; not asked again.',
    );
    return null;
  }
}

/** A locked conversation is 403 with these words, a deleted one 410; asking again changes neither. */
function isLockedOrGone(error: unknown): boolean {
  if (!(error instanceof OperatorError)) return false;
  const status = refusalStatusOf(error.cause);
  return status === 410 || (status === 403 && /\blocked\b/i.test(error.detail ?? ''));
}

/** What an earlier try left, among the first comments of the conversation. */
async function findComment(context: Context, marker: string): Promise<ListedComment | null> {
  const { client, before, signal } = context;
  const signs = { login: await client.login(signal), marker, anyMarker: MARKER_START };
  return leftOverComment(await listComments(context), signs, before.creatingSince);
}

async function listComments({ client, before, number, signal }: Context): Promise<ListedComment[]> {
  const listed: ListedComment[] = [];
  for (let page = 1; page <= PAGES_MAX; page += 1) {
    const comments = await client.call({
      doing: `reading the comments of ${before.repository}#${number}`,
      kind: 'read',
      signal,
      answer: z.array(listedAnswer),
      send: (octokit, options) =>
        octokit.request('GET /repos/{owner}/{repo}/issues/{issue_number}/comments', {
          ...pathOf(before.repository),
          issue_number: number,
          per_page: PAGE_SIZE,
          page,
          ...options,
        }),
    });
    listed.push(...comments);
    if (comments.length < PAGE_SIZE) break;
  }
  return listed;
}

async function ensureStatus(context: Context, report: Report): Promise<ReportRecord['status']> {
  const { client, settings, before, signal } = context;
  const { status } = report;
  if (status === null) return before.status;
  const { sha, state, description, url } = status;
  const hash = statusHashOf(status);
  if (before.status?.sha === sha && before.status.hash === hash) return before.status;
  try {
    await client.call({
      doing: `setting the commit status in ${before.repository}`,
      kind: 'write',
      signal,
      answer: anyAnswer,
      send: (octokit, options) =>
        octokit.request('POST /repos/{owner}/{repo}/statuses/{sha}', {
          ...pathOf(before.repository),
          sha,
          state,
          description,
          target_url: url,
          context: STATUS_CONTEXT,
          ...options,
        }),
    });
  } catch (error) {
    // The commit was forced away and collected, or has had its 1,000 statuses: this commit will never take another.
    if (!(error instanceof OperatorError) || refusalStatusOf(error.cause) !== 422) throw error;
    settings.log.warn(
      { repository: before.repository, sha, error },
      'GitHub takes no status for the commit; not asked again.',
    );
  }
  return { sha, hash };
}

function markerOf(secret: string, key: PreviewKey): string {
  const digest = createHmac('sha256', secret)
    .update(`comment marker ${keyText(key)}`)
    .digest('hex');
  return `${MARKER_START}${digest.slice(0, 32)} -->`;
}
