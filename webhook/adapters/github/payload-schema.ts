/**
 * What we use of GitHub's webhook payloads, and nothing else: everything that decides is read again from the API. Other members may be there and are
 * not looked at. The names are GitHub's; past this file there are only our own.
 */
import { z } from 'zod';
import { parseRepositoryName, parseSha, PULL_NUMBER_MAX } from '../../core/pull-request.ts';

/** Ids are positive integers that a double holds exactly. */
const id = z.int().positive();

/** git itself refuses refs of more than 244 bytes on most file systems; GitHub allows 255. Ours is only a bound on nonsense. */
const REF_LENGTH_MAX = 512;

// An unknown action is not an error, it is not for us; a text of a megabyte is.
const action = z.string().max(100);
const number = z.int().positive().max(PULL_NUMBER_MAX);
const repository = z.object({
  id,
  full_name: z
    .string()
    .max(200)
    .transform((text, context) => parseRepositoryName(text) ?? refuse(context, 'is not owner/name')),
});

const pullRequestPayload = z
  .object({
    action,
    number,
    repository,
    pull_request: z.object({
      number: z.int(),
      state: z.enum(['open', 'closed']),
      head: z.object({
        sha: z
          .string()
          .max(64)
          .refine((text) => parseSha(text) !== null, 'is not a full commit id'),
        ref: z.string().min(1).max(REF_LENGTH_MAX),
        // Null when the fork was deleted.
        repo: z.object({ id }).nullable(),
      }),
      base: z.object({ repo: z.object({ id }) }),
    }),
  })
  .refine((payload) => payload.pull_request.number === payload.number, {
    path: ['pull_request', 'number'],
    message: 'is not the number of the event',
  })
  .refine((payload) => payload.pull_request.base.repo.id === payload.repository.id, {
    path: ['pull_request', 'base', 'repo', 'id'],
    message: 'is not the repository of the event',
  });

function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

const commentPayload = z.object({
  action,
  repository,
  // To GitHub a pull request is an issue that has this member.
  issue: z.object({ number, pull_request: z.object({}).optional() }),
  // Null when the account was deleted.
  comment: z.object({ id, user: z.object({ id }).nullable() }),
  sender: z.object({ id }),
});

type Parsed<Schema extends z.ZodType> = { payload: z.output<Schema> } | { problem: string };

/** The parsed payload of `pull_request`, or the first thing that is wrong with it as `field: message`. No value of the payload is in the message. */
export function parsePullRequestPayload(value: unknown): Parsed<typeof pullRequestPayload> {
  return parsed(pullRequestPayload, value);
}

/** As parsePullRequestPayload, for `issue_comment`. */
export function parseCommentPayload(value: unknown): Parsed<typeof commentPayload> {
  return parsed(commentPayload, value);
}

function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown): Parsed<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return { payload: result.data };
  const [issue] = result.error.issues;
  const field = issue?.path.join('.') || 'the body';
  return { problem: `${field}: ${issue?.message ?? 'is not what GitHub sends'}` };
}
