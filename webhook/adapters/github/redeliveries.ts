/**
 * GitHub keeps a list of what it sent to a webhook and of the answers, for three days, and sends again what it is asked to. A token sees the
 * webhooks of a repository when it may administrate them, an App its own; to others GitHub says 403 or 404, and the sweep has to do.
 * https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries
 */
import { z } from 'zod';
import { OperatorError } from '../../core/errors.ts';
import type { RepositoryName } from '../../core/pull-request.ts';
import type { Log, Redeliveries } from '../../ports.ts';
import type { GitHubClient } from './github-client.ts';
import { refusalStatusOf } from './github-errors.ts';
import { pathOf } from './repositories.ts';

export interface RedeliveriesSettings {
  /** What the path of our webhook's URL ends with. */
  readonly webhookPath: string;
  readonly log: Pick<Log, 'info'>;
}

const PAGE_SIZE = 100;
/** 500 deliveries of one webhook. What is older is left to the sweep, which looks at every open pull request anyway. */
const PAGES_MAX = 5;

/** How long we remember which webhooks a repository has, and that we may not ask. */
const HOOKS_KEPT_MS = 3_600_000;

/** GitHub waits 10 s for an answer before it lists a delivery, and its clock is not ours. */
const LATE_MS = 60_000;

/** Writes are spaced by a second, and a sweep should not take longer than from one to the next. */
const REQUESTS_MAX = 50;

/** Deliveries that were asked for and are remembered, so that none is asked for twice: as many as all pages of twenty webhooks. */
const ASKED_MAX = 10_000;

const hooksAnswer = z.array(
  z.object({ id: z.int().positive(), active: z.boolean(), config: z.object({ url: z.string().optional() }) }),
);
/** `id` may be beyond what a double holds exactly; such a delivery cannot be named in a URL, but the others can. */
const deliveriesAnswer = z.object({
  link: z.string().optional(),
  deliveries: z.array(
    z.object({
      id: z.number(),
      guid: z.string().max(100),
      delivered_at: z.iso.datetime({ offset: true }).transform((text) => new Date(text)),
      status_code: z.int().nullish(),
      event: z.string(),
    }),
  ),
});
type Delivery = z.output<typeof deliveriesAnswer>['deliveries'][number];

/** A webhook of ours: the App's, which hears of all repositories, or one of a repository. */
type Hook =
  | { readonly kind: 'app' }
  | { readonly kind: 'repository'; readonly repository: RepositoryName; readonly id: number };
const APP_HOOK: Hook = { kind: 'app' };
type KnownHooks = Map<RepositoryName, { readonly hooks: readonly Hook[]; readonly until: number }>;

export function createRedeliveries(client: GitHubClient, settings: RedeliveriesSettings): Redeliveries {
  const asked = new Set<string>();
  const known: KnownHooks = new Map();
  let isRefusalTold = false;

  /** What comes of it, or `otherwise` when we have no right to it. */
  const ifAllowed = async <T>(work: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (!isRefused(error)) throw error;
      if (!isRefusalTold) settings.log.info({ reason: error.message }, NO_RIGHT);
      isRefusalTold = true;
      return otherwise;
    }
  };

  const hooksOf = async (repository: RepositoryName, signal: AbortSignal): Promise<readonly Hook[]> => {
    const kept = known.get(repository);
    if (kept !== undefined && kept.until > Date.now()) return kept.hooks;
    const hooks = await ifAllowed(listHooks(client, { repository, path: settings.webhookPath }, signal), []);
    known.set(repository, { hooks, until: Date.now() + HOOKS_KEPT_MS });
    return hooks;
  };

  return {
    async request(repositories, since, signal) {
      const from = new Date(since.getTime() - LATE_MS);
      let count = 0;
      for (const repository of client.identity === 'app' ? [null] : repositories) {
        const hooks = repository === null ? [APP_HOOK] : await hooksOf(repository, signal);
        for (const hook of hooks) {
          for (const { id, guid } of await ifAllowed(listFailed(client, { hook, from }, signal), [])) {
            if (asked.has(guid)) continue;
            if (count === REQUESTS_MAX) return count;
            remember(asked, guid);
            if (await ifAllowed(redeliver(client, { hook, id }, signal), false)) count += 1;
          }
        }
      }
      return count;
    },
  };
}

const NO_RIGHT =
  'GitHub does not let us ask for missed deliveries again (the token needs to administrate webhooks); the sweep finds what was missed.';

function isRefused(error: unknown): error is OperatorError {
  if (!(error instanceof OperatorError) || error.code === 'GITHUB_RATE_LIMITED') return false;
  const status = refusalStatusOf(error.cause);
  // 422: the delivery is too old, or is being sent again already.
  return status === 403 || status === 404 || status === 422;
}

function remember(asked: Set<string>, guid: string): void {
  asked.add(guid);
  const [oldest] = asked;
  if (asked.size > ASKED_MAX && oldest !== undefined) asked.delete(oldest);
}

/** The webhooks of a repository that lead to us, or to another Berth: which does no harm. */
async function listHooks(
  client: GitHubClient,
  { repository, path }: { repository: RepositoryName; path: string },
  signal: AbortSignal,
): Promise<Hook[]> {
  const hooks = await client.call({
    doing: `listing the webhooks of ${repository}`,
    kind: 'read',
    signal,
    answer: hooksAnswer,
    // GitHub allows twenty for an event: one page has them all.
    send: (octokit, options) =>
      octokit.request('GET /repos/{owner}/{repo}/hooks', { ...pathOf(repository), per_page: PAGE_SIZE, ...options }),
  });
  return hooks
    .filter(({ active, config }) => active && URL.parse(config.url ?? '')?.pathname.endsWith(path) === true)
    .map(({ id }): Hook => ({ kind: 'repository', repository, id }));
}

/** Deliveries of pull requests since then whose latest attempt failed, the newest first. */
async function listFailed(
  client: GitHubClient,
  { hook, from }: { hook: Hook; from: Date },
  signal: AbortSignal,
): Promise<Delivery[]> {
  const latest = new Map<string, Delivery>();
  let cursor: string | undefined;
  for (let page = 1; page <= PAGES_MAX; page += 1) {
    const { deliveries, link } = await readPage(client, { hook, cursor }, signal);
    for (const delivery of deliveries) {
      const known = latest.get(delivery.guid);
      if (known === undefined || known.delivered_at < delivery.delivered_at) latest.set(delivery.guid, delivery);
    }
    cursor = /[?&]cursor=([^&>]+)[^>]*>; rel="next"/.exec(link ?? '')?.[1];
    if (cursor === undefined || deliveries.every(({ delivered_at }) => delivered_at < from)) break;
  }
  return [...latest.values()].filter(
    ({ event, delivered_at, status_code, id }) =>
      event === 'pull_request' && delivered_at >= from && isFailure(status_code) && Number.isSafeInteger(id),
  );
}

/** No answer is 0. */
function isFailure(status: number | null | undefined): boolean {
  return status === null || status === undefined || status === 0 || status >= 400;
}

function readPage(
  client: GitHubClient,
  { hook, cursor }: { hook: Hook; cursor: string | undefined },
  signal: AbortSignal,
): Promise<z.output<typeof deliveriesAnswer>> {
  return client.call({
    doing: `listing the deliveries of ${nameOf(hook)}`,
    kind: 'read',
    signal,
    answer: deliveriesAnswer,
    send: async (octokit, options) => {
      const where = { per_page: PAGE_SIZE, ...(cursor === undefined ? {} : { cursor: decodeURIComponent(cursor) }) };
      const { data, headers } =
        hook.kind === 'app'
          ? await octokit.request('GET /app/hook/deliveries', { ...where, ...options })
          : await octokit.request('GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries', {
              ...pathOf(hook.repository),
              hook_id: hook.id,
              ...where,
              ...options,
            });
      return { data: { deliveries: data, link: headers.link } };
    },
  });
}

async function redeliver(
  client: GitHubClient,
  { hook, id }: { hook: Hook; id: number },
  signal: AbortSignal,
): Promise<true> {
  await client.call({
    doing: `asking for a delivery of ${nameOf(hook)} again`,
    kind: 'write',
    signal,
    answer: z.unknown(),
    send: (octokit, options) =>
      hook.kind === 'app'
        ? octokit.request('POST /app/hook/deliveries/{delivery_id}/attempts', { delivery_id: id, ...options })
        : octokit.request('POST /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts', {
            ...pathOf(hook.repository),
            hook_id: hook.id,
            delivery_id: id,
            ...options,
          }),
  });
  return true;
}

function nameOf(hook: Hook): string {
  return hook.kind === 'app' ? 'our App’s webhook' : `our webhook in ${hook.repository}`;
}
