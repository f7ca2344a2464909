/**
 * A stand-in for GitHub, in this process, on loopback: keeps state (repositories, pull requests, comments, statuses, hooks), answers its REST API from it,
 * and sends signed webhooks when it changes. Every request is held against GitHub's own description of its API; a request that GitHub would not
 * understand fails the test when the stand-in is closed. Git is the real thing: bare repositories that `cloneBase` points at.
 *
 *     await using github = await startFakeGitHub();
 *     const shop = await github.addRepository('acme/shop');
 *     await shop.commit('main', { 'preview.toml': '…' });
 *     github.deliverTo({ url: `${service}/webhook/github`, secret });
 *     await shop.commit('feature', { 'index.html': 'new' });
 *     const pull = await shop.openPullRequest({ head: 'feature' });
 *     await pull.push({ 'index.html': 'newer' });
 *     await pull.close();
 *
 * Faults by script: `github.faults.add({ on: 'pulls/get', fault: { kind: 'hang' } })`. What happens to webhooks on their way: `github.deliveries.passage`.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { errorJson, OPERATIONS, Refusal, type Answer } from './fake-github/api.ts';
import type { Deliveries, FakeHook } from './fake-github/deliveries.ts';
import { Faults, type Fault } from './fake-github/faults.ts';
import { OpenApiCheck, type Operation } from './fake-github/openapi-check.ts';
import type { FakeRepository } from './fake-github/repository.ts';
import type { Json } from './fake-github/shapes.ts';
import { Tokens } from './fake-github/tokens.ts';
import { FakeWorld } from './fake-github/world.ts';

export interface FakeGitHubOptions {
  /** Where the bare repositories go; it stays at the end. A temporary folder, removed at the end, when absent. */
  readonly directory?: string;
  /** A personal access token that works, and the login it belongs to. */
  readonly token?: string;
  readonly login?: string;
}

/** A request as it came, for tests that count or look for something. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  /** `pulls/get`; null when GitHub has no such operation. */
  readonly operation: string | null;
  readonly status: number;
}

const DESCRIPTION = resolve(import.meta.dirname, '../fixtures/github-openapi-trimmed.json');
const REQUEST_BODY_MAX_BYTES = 1024 * 1024;
let description: OpenApiCheck | null = null;

/** Starts it on a port of its own. Close it with `close()` or `await using`. */
export async function startFakeGitHub(options: FakeGitHubOptions = {}): Promise<FakeGitHub> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'berth-github-')));
  const github = new FakeGitHub(directory, { ...options, temporary: options.directory === undefined });
  await github.listen();
  return github;
}

export class FakeGitHub implements AsyncDisposable {
  readonly world: FakeWorld;
  readonly tokens = new Tokens();
  readonly faults = new Faults();
  /** What is wrong with the requests that came, in words. Not empty: closing throws. */
  readonly violations: string[] = [];
  readonly requests: SeenRequest[] = [];
  readonly token: string;
  readonly #server: Server;
  readonly #check: OpenApiCheck;
  readonly #temporary: boolean;

  constructor(directory: string, options: FakeGitHubOptions & { temporary: boolean }) {
    this.world = new FakeWorld(directory);
    this.token = options.token ?? 'ghp_standInForTestsOnly0123456789abcdef';
    this.tokens.addUserToken(this.token, this.world.user(options.login ?? 'berth-bot'));
    this.#temporary = options.temporary;
    description ??= new OpenApiCheck(DESCRIPTION);
    this.#check = description;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  get apiUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** `${cloneBase}/${owner}/${name}.git` can be fetched from. */
  get cloneBase(): string {
    return this.world.cloneBase;
  }

  get deliveries(): Deliveries {
    return this.world.deliveries;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  /** A new repository, with a first commit on `main` when files are given. */
  async addRepository(fullName: string, files?: Parameters<FakeRepository['commit']>[1]): Promise<FakeRepository> {
    const repository = await this.world.addRepository(fullName);
    if (files !== undefined) await repository.commit(repository.defaultBranch, files, 'Start');
    return repository;
  }

  /** Sends webhooks of all repositories there from now on, as the webhook of an App does. */
  deliverTo(hook: { url: string; secret: string; contentType?: 'json' | 'form'; events?: string[] }): FakeHook {
    return this.world.addHook({ contentType: 'json', ...hook, repositoryId: null });
  }

  /** Lets an App sign in, instead of a token. The private key is what its owner would have downloaded. */
  addApp(slug = 'berth'): { appId: number; installationId: number; privateKey: string } {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const app = { id: this.world.nextId(), installationId: this.world.nextId(), slug, publicKey };
    this.tokens.app = app;
    return { appId: app.id, installationId: app.installationId, privateKey };
  }

  /** How often an operation was called. */
  count(operation: string): number {
    return this.requests.filter((request) => request.operation === operation).length;
  }

  /** Stops it, removes what it made, and throws when a request was not one that GitHub would understand. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
    await this.deliveries.settled();
    if (this.#temporary) await rm(this.world.directory, { recursive: true, force: true });
    if (this.violations.length > 0) {
      throw new Error(`GitHub would not understand these requests:\n${this.violations.join('\n')}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? '';
    const url = new URL(request.url ?? '/', this.apiUrl);
    const path = this.#pathByName(url.pathname);
    const operation = this.#check.match(method, path);
    const fault = this.faults.take(method, operation?.id ?? null, path);
    try {
      const body = await readJson(request);
      const answer = await this.#perform({ method, path, query: url.searchParams, body, operation, fault }, request);
      this.requests.push({ method, path: url.pathname, operation: operation?.id ?? null, status: answer.status });
      await deliver(response, answer, fault);
    } catch (error) {
      this.violations.push(
        `${method} ${path}: the stand-in failed: ${error instanceof Error ? error.stack : String(error)}`,
      );
      response.destroy();
    }
  }

  /** `/repositories/<id>/…`, where GitHub redirects to after a rename, is the same as `/repos/<name>/…`. */
  #pathByName(path: string): string {
    const [, id, rest] = /^\/repositories\/([0-9]+)(\/.*)?$/.exec(path) ?? [];
    const repository = id === undefined ? null : this.world.byId(Number(id));
    return repository === null ? path : `/repos/${repository.fullName}${rest ?? ''}`;
  }

  async #perform(
    asked: {
      method: string;
      path: string;
      query: URLSearchParams;
      body: unknown;
      operation: Operation | null;
      fault: Fault | null;
    },
    request: IncomingMessage,
  ): Promise<Answer> {
    const { operation, fault } = asked;
    const name = `${asked.method} ${asked.path}`;
    if (request.headers['user-agent'] === undefined)
      this.violations.push(`${name}: GitHub refuses requests without a User-Agent`);
    if (operation === null) {
      this.violations.push(`${name}: not in the part of GitHub’s API that we know`);
      return { status: 404, body: errorJson(404, 'Not Found') };
    }
    const problems = this.#check.problemsOfRequest({ operation, query: asked.query, body: asked.body });
    this.violations.push(...problems.map((problem) => `${name}: ${problem}`));
    if (fault?.kind === 'hang') return { status: 0 };
    if (fault?.kind === 'status') {
      return {
        status: fault.status,
        headers: fault.headers ?? {},
        body: errorJson(fault.status, fault.message ?? 'By script'),
      };
    }
    const actor = this.tokens.actorOf(request.headers.authorization);
    if (actor === null) return { status: 401, body: errorJson(401, 'Bad credentials') };
    const moved = this.#redirectOf(asked.path, asked.method);
    if (moved !== null) return moved;

    const handler = OPERATIONS[operation.id];
    if (handler === undefined) throw new Error(`the stand-in for GitHub does not answer ${operation.id}`);
    const answer = await this.#handled(handler, {
      world: this.world,
      tokens: this.tokens,
      actor,
      parameters: operation.parameters,
      query: fault?.kind === 'page-loop' ? firstPageOf(asked.query) : asked.query,
      body: (asked.body ?? {}) as Json,
      staleness: fault?.kind === 'stale' ? fault.changes : 0,
    });
    const incomplete = this.#check.problemsOfAnswer(operation, answer.status, answer.body);
    if (incomplete.length > 0) throw new Error(`the stand-in’s own ${incomplete.join('; ')}`);
    return fault?.kind === 'page-loop' ? filledPage(answer, asked.query) : answer;
  }

  async #handled(
    handler: (typeof OPERATIONS)[string],
    request: Parameters<(typeof OPERATIONS)[string]>[0],
  ): Promise<Answer> {
    try {
      return await handler(request);
    } catch (error) {
      if (error instanceof Refusal) return error.answer;
      throw error;
    }
  }

  /** GitHub answers an old name with 301 for reads and 307 for the rest, to the repository’s id. */
  #redirectOf(path: string, method: string): Answer | null {
    const [, fullName = '', rest = ''] = /^\/repos\/([^/]+\/[^/]+)(\/.*)?$/.exec(path) ?? [];
    if (this.world.find(fullName) !== null) return null;
    const repository = this.world.findRenamed(fullName);
    if (repository === null) return null;
    const url = `${this.apiUrl}/repositories/${repository.id}${rest}`;
    const status = method === 'GET' ? 301 : 307;
    return { status, headers: { location: url }, body: { message: 'Moved Permanently', url, documentation_url: '' } };
  }
}

/** The items over and over until the page is full, so that nobody can take it for the last one. */
function filledPage(answer: Answer, query: URLSearchParams): Answer {
  const items = answer.body;
  if (!Array.isArray(items) || items.length === 0) return answer;
  const length = Number(query.get('per_page') ?? 30);
  return { ...answer, body: Array.from({ length }, (_, at) => items[at % items.length] as unknown) };
}

function firstPageOf(query: URLSearchParams): URLSearchParams {
  const first = new URLSearchParams(query);
  first.set('page', '1');
  return first;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > REQUEST_BODY_MAX_BYTES) throw new Error('a request of more than a megabyte');
    chunks.push(chunk);
  }
  return size === 0 ? undefined : (JSON.parse(Buffer.concat(chunks).toString()) as unknown);
}

async function deliver(response: ServerResponse, answer: Answer, fault: Fault | null): Promise<void> {
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'reset') {
    response.socket?.resetAndDestroy();
    return;
  }
  if (fault?.kind === 'slow') {
    await new Promise((resolve) => {
      setTimeout(resolve, fault.ms);
    });
  }
  if (fault?.kind === 'html') {
    response
      .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
      .end('<!doctype html><title>Unicorn!</title>');
    return;
  }
  const text = answer.body === undefined ? '' : JSON.stringify(answer.body);
  const sent = fault?.kind === 'truncated' ? text.slice(0, Math.floor(text.length / 2)) : text;
  const loop = fault?.kind === 'page-loop' ? { link: '<https://api.github.com/?page=2>; rel="next"' } : {};
  const type = text === '' ? {} : { 'content-type': 'application/json; charset=utf-8' };
  const limits = { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '4999' };
  response.writeHead(answer.status, { ...limits, ...type, ...loop, ...answer.headers }).end(sent);
}
