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

const pullRequestPayload = z
  .object({
    // An unknown action is not an error, it is not for us; a text of a megabyte is.
    action: z.string().max(100),
    number: z.int().positive().max(PULL_NUMBER_MAX),
    repository: z.object({
      id,
      full_name: z
        .string()
        .max(200)
        .transform((text, context) => parseRepositoryName(text) ?? refuse(context, 'is not owner/name')),
    }),
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

export type PullRequestPayload = z.output<typeof pullRequestPayload>;

/** The parsed payload, or the first thing that is wrong with it as `field: message`. No value of the payload is in the message. */
export function parsePullRequestPayload(value: unknown): { payload: PullRequestPayload } | { problem: string } {
  const result = pullRequestPayload.safeParse(value);
  if (result.success) return { payload: result.data };
  const [issue] = result.error.issues;
  const field = issue?.path.join('.') || 'the body';
  return { problem: `${field}: ${issue?.message ?? 'is not what GitHub sends'}` };
}
