/** What each operation of GitHub's API does with the state, by the name that GitHub's description gives it. */
import type { FakeDelivery, FakeHook } from './deliveries.ts';
import type { FakePullRequest } from './pull-request.ts';
import type { FakeRepository, FakeUser } from './repository.ts';
import {
  branchJson,
  commentJson,
  fullRepositoryJson,
  nodeId,
  privateUserJson,
  pullRequestJson,
  repositoryJson,
  statusJson,
  timeText,
  userJson,
  type Json,
} from './shapes.ts';
import type { Actor, Tokens } from './tokens.ts';
import type { FakeWorld } from './world.ts';

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ApiRequest {
  readonly world: FakeWorld;
  readonly tokens: Tokens;
  readonly actor: Actor;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Json;
  /** How many changes ago reads of pull requests are answered from. */
  readonly staleness: number;
}

/** An answer that is an error; thrown so that look-ups stay short. */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(status: number, message: string) {
    super(message);
    this.answer = { status, body: errorJson(status, message) };
  }
}

export function errorJson(status: number, message: string): Json {
  return { message, documentation_url: 'https://docs.github.com/rest', status: String(status) };
}

type Handler = (request: ApiRequest) => Answer | Promise<Answer>;

export const OPERATIONS: Readonly<Record<string, Handler>> = {
  'users/get-authenticated': ({ actor }) => ok(privateUserJson(userOf(actor))),
  'rate-limit/get': () => ok({ resources: { core: rate(), search: rate() }, rate: rate() }),

  'repos/get': (request) => ok(fullRepositoryJson(repositoryOf(request))),
  'repos/update': async (request) => {
    const repository = repositoryOf(request);
    const { name } = request.body;
    if (typeof name === 'string') await repository.rename(`${repository.owner.login}/${name}`);
    return ok(fullRepositoryJson(repository));
  },
  'repos/get-branch': (request) => {
    const repository = repositoryOf(request);
    const { branch = '' } = request.parameters;
    const sha = repository.head(branch);
    if (sha === null) throw new Refusal(404, 'Branch not found');
    return ok(branchJson(repository, branch, sha));
  },
  'repos/list-for-user': (request) => {
    const login = request.parameters['username']?.toLowerCase();
    const owned = visible(request).filter(({ owner }) => owner.login.toLowerCase() === login);
    return ok(paged(request, owned).map(repositoryJson));
  },
  'repos/list-for-authenticated-user': (request) => ok(paged(request, visible(request)).map(repositoryJson)),
  'apps/list-repos-accessible-to-installation': (request) => {
    const repositories = paged(request, visible(request)).map(repositoryJson);
    return ok({ total_count: visible(request).length, repositories });
  },

  'pulls/list': (request) =>
    ok(paged(request, listedPulls(request)).map((pull) => pullRequestJson(pull, seen(request, pull)))),
  'pulls/get': (request) => {
    const pull = pullOf(request, 'pull_number');
    return ok(pullRequestJson(pull, seen(request, pull)));
  },
  'pulls/update': async (request) => {
    const pull = pullOf(request, 'pull_number');
    const { title, body, state, base } = request.body as {
      title?: string;
      body?: string;
      state?: string;
      base?: string;
    };
    const changes = { ...(title && { title }), ...(body !== undefined && { body }), ...(base && { base }) };
    if (Object.keys(changes).length > 0) await pull.edit(changes);
    if (state === 'closed' && pull.state.state === 'open') await pull.close();
    if (state === 'open' && pull.state.state === 'closed') await pull.reopen();
    return ok(pullRequestJson(pull));
  },

  'issues/list-comments': (request) => ok(paged(request, pullOf(request, 'issue_number').comments).map(commentJson)),
  'issues/create-comment': (request) => {
    const pull = pullOf(request, 'issue_number');
    if (pull.state.locked) throw new Refusal(403, 'Unable to create comment because issue is locked.');
    const body = commentBodyOf(request);
    return { status: 201, body: commentJson(request.world.addComment(pull, userOf(request.actor), body)) };
  },
  'issues/get-comment': (request) => ok(commentJson(commentOf(request))),
  'issues/update-comment': (request) => {
    const comment = commentOf(request);
    comment.body = commentBodyOf(request);
    comment.updatedAt = request.world.now();
    void request.world.announceComment(comment, 'edited', userOf(request.actor));
    return ok(commentJson(comment));
  },
  'issues/delete-comment': (request) => {
    const { comments } = repositoryOf(request);
    comments.splice(comments.indexOf(commentOf(request)), 1);
    return { status: 204 };
  },

  'repos/create-commit-status': async (request) => {
    const repository = repositoryOf(request);
    const { sha = '' } = request.parameters;
    if ((await repository.git.resolve(sha)) === null) throw new Refusal(422, `No commit found for SHA: ${sha}`);
    const { state, context, description, target_url: targetUrl } = request.body as Record<string, string | undefined>;
    if ((description ?? '').length > 140) throw new Refusal(422, 'Validation Failed: description is too long');
    const status = {
      id: request.world.nextId(),
      sha,
      state: state ?? '',
      context: context ?? 'default',
      description: description ?? null,
      targetUrl: targetUrl ?? null,
      creator: userOf(request.actor),
      createdAt: request.world.now(),
    };
    repository.statuses.push(status);
    return { status: 201, body: statusJson(repository, status) };
  },
  'repos/list-commit-statuses-for-ref': (request) => {
    const repository = repositoryOf(request);
    const ofCommit = repository.statuses.filter(({ sha }) => sha === request.parameters['ref']).reverse();
    return ok(paged(request, ofCommit).map((status) => statusJson(repository, status)));
  },

  'repos/list-webhooks': (request) => ok(paged(request, hooksOf(request)).map(hookJson)),
  'repos/create-webhook': async (request) => {
    const { config = {}, events } = request.body as { config?: Record<string, string>; events?: string[] };
    const { id } = repositoryOf(request);
    if (hooksOf(request).some(({ url }) => url === config['url']))
      throw new Refusal(422, 'Validation Failed: Hook already exists on this repository');
    const hook = request.world.addHook({ repositoryId: id, ...hookConfigOf(config), ...(events && { events }) });
    await request.world.ping(hook);
    return { status: 201, body: hookJson(hook) };
  },
  'repos/get-webhook': (request) => ok(hookJson(hookOf(request))),
  'repos/update-webhook': (request) => {
    const hook = hookOf(request);
    const { config, events, active } = request.body as {
      config?: Record<string, string>;
      events?: string[];
      active?: boolean;
    };
    Object.assign(hook, config && hookConfigOf(config), events && { events }, active !== undefined && { active });
    return ok(hookJson(hook));
  },
  'repos/delete-webhook': (request) => {
    request.world.hooks.splice(request.world.hooks.indexOf(hookOf(request)), 1);
    return { status: 204 };
  },
  'repos/ping-webhook': async (request) => {
    await request.world.ping(hookOf(request));
    return { status: 204 };
  },
  'repos/list-webhook-deliveries': (request) => listDeliveries(request, hookOf(request)),
  'repos/redeliver-webhook-delivery': (request) => redeliver(request, hookOf(request)),

  'apps/list-webhook-deliveries': (request) => listDeliveries(request, appHookOf(request)),
  'apps/redeliver-webhook-delivery': (request) => redeliver(request, appHookOf(request)),
  'apps/get-authenticated': (request) => {
    const app = appOf(request);
    const url = `https://github.com/apps/${app.slug}`;
    const times = { created_at: '2020-01-01T00:00:00Z', updated_at: '2020-01-01T00:00:00Z' };
    const about = { name: app.slug, description: null, external_url: url, html_url: url, ...times };
    const owner = userJson(request.world.user('acme', 'Organization'));
    return ok({
      id: app.id,
      slug: app.slug,
      node_id: nodeId('App', app.id),
      owner,
      ...about,
      permissions: {},
      events: ['pull_request'],
    });
  },
  'apps/create-installation-access-token': (request) => {
    const app = appOf(request);
    if (Number(request.parameters['installation_id']) !== app.installationId) throw new Refusal(404, 'Not Found');
    const { token, expiresAt } = request.tokens.issueInstallationToken(request.world.user(`${app.slug}[bot]`, 'Bot'));
    return {
      status: 201,
      body: { token, expires_at: timeText(expiresAt), permissions: {}, repository_selection: 'selected' },
    };
  },
};

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function rate(): Json {
  return { limit: 5_000, remaining: 4_999, reset: Math.floor(Date.now() / 1_000) + 3_600, used: 1 };
}

function userOf(actor: Actor): FakeUser {
  if (actor.kind === 'app') throw new Refusal(403, 'Resource not accessible by integration');
  return actor.user;
}

function appOf({ actor, tokens }: ApiRequest) {
  if (actor.kind !== 'app' || tokens.app === null) throw new Refusal(401, 'A JSON web token could not be decoded');
  return tokens.app;
}

function visible({ world }: ApiRequest): FakeRepository[] {
  return world.repositories.filter(({ hidden }) => !hidden);
}

function repositoryOf({ world, parameters }: ApiRequest): FakeRepository {
  const repository = world.find(`${parameters['owner']}/${parameters['repo']}`);
  if (repository === null || repository.hidden) throw new Refusal(404, 'Not Found');
  return repository;
}

function pullOf(request: ApiRequest, parameter: string): FakePullRequest {
  const pull = repositoryOf(request).pull(Number(request.parameters[parameter]));
  if (pull === undefined) throw new Refusal(404, 'Not Found');
  return pull;
}

function seen({ staleness }: ApiRequest, pull: FakePullRequest) {
  return pull.history[Math.max(0, pull.history.length - 1 - staleness)];
}

/** Newest first, as GitHub lists them. */
function listedPulls(request: ApiRequest): FakePullRequest[] {
  const state = request.query.get('state') ?? 'open';
  const [owner, ...branch] = (request.query.get('head') ?? '').split(':');
  return repositoryOf(request)
    .pulls.filter((pull) => state === 'all' || seen(request, pull)?.state === state)
    .filter(
      ({ state: { head } }) =>
        branch.length === 0 ||
        (head.repository?.owner.login.toLowerCase() === owner?.toLowerCase() && head.branch === branch.join(':')),
    )
    .reverse();
}

function commentOf(request: ApiRequest) {
  const id = Number(request.parameters['comment_id']);
  const comment = repositoryOf(request).comments.find((each) => each.id === id);
  if (comment === undefined) throw new Refusal(404, 'Not Found');
  return comment;
}

function commentBodyOf(request: ApiRequest): string {
  const { body: text = '' } = request.body as { body?: string };
  if (text.length > 65_536) throw new Refusal(422, 'Validation Failed: body is too long (maximum is 65536 characters)');
  return text;
}

/** What of a list is on the page that was asked for. */
function paged<T>({ query }: ApiRequest, items: readonly T[]): T[] {
  const size = Math.min(100, Number(query.get('per_page') ?? 30));
  const start = (Number(query.get('page') ?? 1) - 1) * size;
  return items.slice(start, start + size);
}

function hooksOf(request: ApiRequest): FakeHook[] {
  const { id } = repositoryOf(request);
  return request.world.hooks.filter(({ repositoryId }) => repositoryId === id);
}

function hookOf(request: ApiRequest): FakeHook {
  const hook = hooksOf(request).find(({ id }) => id === Number(request.parameters['hook_id']));
  if (hook === undefined) throw new Refusal(404, 'Not Found');
  return hook;
}

function appHookOf(request: ApiRequest): FakeHook {
  appOf(request);
  const hook = request.world.hooks.find(({ repositoryId }) => repositoryId === null);
  if (hook === undefined) throw new Refusal(404, 'Not Found');
  return hook;
}

function hookConfigOf(config: Record<string, string>): Pick<FakeHook, 'url' | 'secret' | 'contentType'> {
  return {
    url: config['url'] ?? '',
    secret: config['secret'] ?? '',
    contentType: config['content_type'] === 'json' ? 'json' : 'form',
  };
}

function hookJson(hook: FakeHook): Json {
  const url = `https://api.github.com/repos/hooks/${hook.id}`;
  return {
    type: 'Repository',
    id: hook.id,
    name: 'web',
    active: hook.active,
    events: hook.events,
    config: { url: hook.url, content_type: hook.contentType, insecure_ssl: '0', secret: '********' },
    url,
    test_url: `${url}/test`,
    ping_url: `${url}/pings`,
    deliveries_url: `${url}/deliveries`,
    created_at: '2020-01-01T00:00:00Z',
    updated_at: '2020-01-01T00:00:00Z',
    last_response: { code: null, status: 'unused', message: null },
  };
}

function listDeliveries(request: ApiRequest, hook: FakeHook): Answer {
  const sent = request.world.deliveries.all
    .filter((delivery) => delivery.hook === hook && delivery.status !== null)
    .reverse();
  const size = Math.min(100, Number(request.query.get('per_page') ?? 30));
  const start = Number(request.query.get('cursor') ?? 0);
  const next =
    start + size < sent.length
      ? { link: `<https://api.github.com/deliveries?cursor=${start + size}>; rel="next"` }
      : {};
  return { status: 200, body: sent.slice(start, start + size).map(deliveryJson), headers: next };
}

async function redeliver(request: ApiRequest, hook: FakeHook): Promise<Answer> {
  const id = Number(request.parameters['delivery_id']);
  const delivery = request.world.deliveries.all.find((each) => each.id === id && each.hook === hook);
  if (delivery === undefined) throw new Refusal(404, 'Not Found');
  await request.world.deliveries.redeliver(delivery);
  return { status: 202, body: {} };
}

function deliveryJson(delivery: FakeDelivery): Json {
  const status = delivery.status ?? 0;
  return {
    id: delivery.id,
    guid: delivery.guid,
    delivered_at: timeText(delivery.deliveredAt),
    redelivery: delivery.redelivery,
    duration: delivery.durationSeconds,
    status: status === 0 ? delivery.answer : status < 300 ? 'OK' : `Invalid HTTP Response: ${status}`,
    status_code: status,
    event: delivery.event,
    action: delivery.action,
    installation_id: null,
    repository_id: delivery.repositoryId,
    throttled_at: null,
  };
}
