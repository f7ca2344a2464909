/** Signed deliveries over real HTTP, and what the sender saw of each. */
import { randomUUID } from 'node:crypto';
import { request, type Agent } from 'node:http';
import { payloadWith } from '../a-webhook-server.ts';
import { signedRequest } from '../fake-github/deliveries.ts';
import { onServer } from '../on-server.ts';

export const DELIVERY_SECRET = '0123456789abcdef'.repeat(4);
export const DELIVERY_REPOSITORY = 'acme/shop';

export interface SentDelivery {
  readonly id: string;
  readonly repositoryId: number;
  readonly number: number;
  /** Null when the connection ended before an answer came. */
  readonly status: number | null;
  readonly retryAfter: string | null;
  /** Why there was no answer. */
  readonly failure?: string;
}

interface Target {
  readonly port: number;
  readonly agent: Agent;
}

const ANSWER_TIMEOUT_MS = 30_000;

/** A `synchronize` of the pull request, signed. */
export function deliveryOf(repositoryId: number, number: number): ReturnType<typeof signedRequest> & { id: string } {
  const id = randomUUID();
  const payload = payloadWith({
    action: 'synchronize',
    number,
    'pull_request.number': number,
    'repository.id': repositoryId,
    'repository.full_name': DELIVERY_REPOSITORY,
    'pull_request.head.repo.id': repositoryId,
    'pull_request.base.repo.id': repositoryId,
  });
  return {
    id,
    ...signedRequest(JSON.stringify(payload), { secret: DELIVERY_SECRET, event: 'pull_request', guid: id }),
  };
}

/** Sends one. Never rejects: what the sender saw is the result, and a status counts from its first line on. */
export function send(target: Target, repositoryId: number, number: number): Promise<SentDelivery> {
  const { id, method, headers, body } = deliveryOf(repositoryId, number);
  const { promise, resolve } = Promise.withResolvers<SentDelivery>();
  const seen = (status: number | null, retryAfter: string | null) =>
    resolve({ id, repositoryId, number, status, retryAfter });
  const outgoing = request(
    { host: '127.0.0.1', port: target.port, path: '/webhook/github', method, headers, agent: target.agent },
    (response) => {
      const ended = () => seen(response.statusCode ?? null, response.headers['retry-after'] ?? null);
      response.resume().on('end', ended).on('error', ended);
    },
  );
  outgoing.setTimeout(ANSWER_TIMEOUT_MS, () => outgoing.destroy());
  outgoing.on('error', ({ message }) =>
    resolve({ id, repositoryId, number, status: null, retryAfter: null, failure: message }),
  );
  outgoing.end(body);
  return promise;
}

export function acknowledgedOf(sent: readonly SentDelivery[]): SentDelivery[] {
  return sent.filter(({ status }) => status === 202);
}

/** The acknowledged that PostgreSQL does not know of. Must be none, ever. */
export async function lostOf(databaseUrl: string, sent: readonly SentDelivery[]): Promise<SentDelivery[]> {
  const acknowledged = acknowledgedOf(sent);
  const rows = await onServer(databaseUrl, 'select id from berth.deliveries where id = any($1)', [
    acknowledged.map(({ id }) => id),
  ]);
  const known = new Set(rows.map((row) => row['id']));
  return acknowledged.filter(({ id }) => !known.has(id));
}

/** The acknowledged whose pull request has no job, on a database on which nobody works. Must be none. */
export async function withoutJobOf(databaseUrl: string, sent: readonly SentDelivery[]): Promise<SentDelivery[]> {
  const rows = await onServer(databaseUrl, 'select key from graphile_worker.jobs where key is not null');
  const jobs = new Set(rows.map((row) => row['key']));
  return acknowledgedOf(sent).filter((each) => !jobs.has(`reconcile:${each.repositoryId}/pull/${each.number}`));
}
