import type { EmitterWebhookEventName } from '@octokit/webhooks';
import { createSecretKey, type KeyObject } from 'node:crypto';
import { isAllowedRepository, type Policy } from '../../core/policy.ts';
import type { IncomingDelivery } from '../../core/pull-request.ts';
import type { WebhookSource } from '../../ports.ts';
import { parseCommentPayload, parsePullRequestPayload } from './payload-schema.ts';
import { hasValidSignature } from './signature.ts';
import { decodeUtf8, JsonRefused, parseStrictJson, parseStrictJsonText } from './strict-json.ts';

export interface WebhookSourceSettings {
  /** The secret of the webhook; during a rotation the new and the old one. A delivery signed with either is good. */
  readonly secrets: readonly string[];
  readonly policy: Policy;
}

type PullRequestAction = EmitterWebhookEventName extends infer Name
  ? Name extends `pull_request.${infer Action}`
    ? Action
    : never
  : never;

/** The actions after which something else may be wanted. The others (labels, assignees, reviews) change nothing that we look at. */
const RELEVANT_ACTIONS: ReadonlySet<string> = new Set<PullRequestAction>([
  'opened',
  'reopened',
  'synchronize',
  'closed',
  'edited',
  'converted_to_draft',
  'ready_for_review',
]);

/** `pull_request`, `projects_v2_item`. */
const EVENT_NAME = /^[a-z0-9_]{1,64}$/;
const DELIVERY_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

type Headers = Parameters<WebhookSource['read']>[0];
type Rejection = Extract<IncomingDelivery, { kind: 'rejected' }>;

/** Reads GitHub's webhook requests. Answers are those of docs/reference/http-api.md. */
export function createWebhookSource(settings: WebhookSourceSettings): WebhookSource {
  if (settings.secrets.length === 0 || settings.secrets.includes('')) throw new TypeError('a webhook secret is needed');
  const secrets = settings.secrets.map((secret) => createSecretKey(secret, 'utf8'));
  const reader = { secrets, policy: settings.policy };
  return { read: (headers, rawBody) => readDelivery(reader, headers, rawBody) };
}

interface Reader {
  readonly secrets: readonly KeyObject[];
  readonly policy: Policy;
}

function readDelivery({ secrets, policy }: Reader, headers: Headers, rawBody: Buffer): IncomingDelivery {
  if (!hasValidSignature(secrets, rawBody, headers['x-hub-signature-256'])) {
    return rejected(401, 'bad_signature', 'Invalid signature');
  }

  const deliveryId = headers['x-github-delivery'];
  if (typeof deliveryId !== 'string' || !DELIVERY_ID.test(deliveryId)) {
    return rejected(400, 'bad_delivery_id', 'The header X-GitHub-Delivery must be a UUID.');
  }
  const event = headers['x-github-event'];
  if (typeof event !== 'string' || !EVENT_NAME.test(event)) {
    return rejected(400, 'bad_event', 'The header X-GitHub-Event must be the name of one event.');
  }
  const body = readBody(headers, rawBody);
  if ('kind' in body) return body;

  if (event === 'ping') return { kind: 'ping', deliveryId: deliveryId.toLowerCase() };
  if (event === 'issue_comment') return readComment(policy, deliveryId, body.value);
  if (event !== 'pull_request') return ignored(deliveryId, 'event_not_relevant');
  return readPullRequest(policy, deliveryId, body.value);
}

function readPullRequest(policy: Policy, deliveryId: string, value: unknown): IncomingDelivery {
  const parsed = parsePullRequestPayload(value);
  if ('problem' in parsed) return rejected(400, 'bad_payload', parsed.problem);

  const { action, number, repository } = parsed.payload;
  if (!isAllowedRepository(policy, repository.full_name)) return ignored(deliveryId, 'not_allowed');
  if (!RELEVANT_ACTIONS.has(action)) return ignored(deliveryId, 'action_not_relevant');
  return {
    kind: 'event',
    deliveryId: deliveryId.toLowerCase(),
    event: {
      key: { repositoryId: repository.id, subject: { kind: 'pull', number } },
      repository: repository.full_name,
      action,
    },
  };
}

/** Whoever changes a comment of their own is not told to us: when it is ours, that was ourselves. */
function readComment(policy: Policy, deliveryId: string, value: unknown): IncomingDelivery {
  const parsed = parseCommentPayload(value);
  if ('problem' in parsed) return rejected(400, 'bad_payload', parsed.problem);

  const { action, repository, issue, comment, sender } = parsed.payload;
  if (!isAllowedRepository(policy, repository.full_name)) return ignored(deliveryId, 'not_allowed');
  if (action !== 'edited' && action !== 'deleted') return ignored(deliveryId, 'action_not_relevant');
  if (issue.pull_request === undefined || comment.user?.id === sender.id)
    return ignored(deliveryId, 'comment_not_ours');
  return {
    kind: 'comment',
    deliveryId: deliveryId.toLowerCase(),
    key: { repositoryId: repository.id, subject: { kind: 'pull', number: issue.number } },
    commentId: comment.id,
  };
}

/** Both content types that a webhook can be set to; the payload of the form is one field of JSON. */
function readBody(headers: Headers, rawBody: Buffer): { value: unknown } | Rejection {
  const contentType = headers['content-type'];
  const kind = typeof contentType === 'string' ? contentKindOf(contentType) : null;
  const encoding = headers['content-encoding'];
  if (kind === null || (encoding !== undefined && encoding !== 'identity')) {
    return rejected(
      415,
      'bad_content_type',
      'Set the webhook’s "Content type" to application/json (or application/x-www-form-urlencoded); the text must be UTF-8 and not compressed.',
    );
  }
  try {
    return { value: kind === 'json' ? parseStrictJson(rawBody) : parseStrictJsonText(payloadField(rawBody)) };
  } catch (error) {
    if (error instanceof JsonRefused) return rejected(400, 'bad_json', error.message);
    throw error;
  }
}

function contentKindOf(contentType: string): 'json' | 'form' | null {
  const match = /^\s*application\/(json|x-www-form-urlencoded)\s*(?:;\s*charset="?utf-8"?\s*)?$/i.exec(contentType);
  if (match === null) return null;
  return match[1]?.toLowerCase() === 'json' ? 'json' : 'form';
}

/** `payload=…` of a form; URLSearchParams would replace what is not UTF-8 and take the first of two, so both are looked at before. */
function payloadField(rawBody: Buffer): string {
  const text = decodeUtf8(rawBody);
  if (!text.startsWith('payload=') || text.includes('&'))
    throw new JsonRefused('The form must have the one field "payload".');
  try {
    return decodeURIComponent(text.slice('payload='.length).replaceAll('+', ' '));
  } catch {
    throw new JsonRefused('The form’s field "payload" is not encoded as it should be.');
  }
}

function ignored(deliveryId: string, reason: string): IncomingDelivery {
  return { kind: 'ignored', deliveryId: deliveryId.toLowerCase(), reason };
}

function rejected(status: Rejection['status'], code: string, message: string): Rejection {
  return { kind: 'rejected', status, code, message };
}
