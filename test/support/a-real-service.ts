/** The whole service as a user has it (process, PostgreSQL, git, apps, gateway), on the stand-in GitHub, for one test file. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeInventory, type Inventory } from '../../scripts/demo/inventory.ts';
import { startEmbeddedPostgres } from '../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import type { FileChanges } from './fake-github/bare-repository.ts';
import type { FakePullRequest } from './fake-github/pull-request.ts';
import type { FakeRepository } from './fake-github/repository.ts';
import { startFakeGitHub, type FakeGitHub } from './fake-github.ts';
import { startOperatorProcess, type OperatorProcess, type OperatorSettings } from './operator-process.ts';
import { silentLog } from './silent-log.ts';
import { waitUntil } from './wait-until.ts';

const APPS = join(import.meta.dirname, '../fixtures/apps');
const PREVIEW = join(import.meta.dirname, '../../webhook/commands/preview/main.mjs');
/** Far beyond what anything takes on an idle machine; test files run side by side. */
const PATIENCE_MS = 60_000;
/** They are taken down a few at a time. */
const PATIENCE_PER_CLOSE_MS = 500;

interface Waiting {
  /** What there is instead, in words. */
  readonly seen: () => string;
  readonly patienceMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** The files of a fixture app, as a commit takes them. */
export function appFiles(app: string): Record<string, string> {
  const folder = join(APPS, app);
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

/** hello-node with a database on the host, whose URL `/environment` tells. */
export function appWithDatabase(): Record<string, string> {
  const { 'preview.toml': manifest = '', 'server.js': server = '', ...rest } = appFiles('hello-node');
  const telling = server.replace('hasDatabase: DATABASE_URL !== undefined', 'databaseUrl: DATABASE_URL');
  return { ...rest, 'preview.toml': `database = "host"\n${manifest}`, 'server.js': telling };
}

/**
 * Starts GitHub and the service with `acme/*` on the allow-list, and perhaps more of its configuration. Dispose of it: everything that it made is gone then,
 * also after a failure.
 */
export async function aRealService(
  limits: Readonly<Record<string, number>> = {},
  sections: OperatorSettings['sections'] = {},
): Promise<RealService> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.adopt(mkdtempSync(join(tmpdir(), 'berth-service-')), (path) =>
    rmSync(path, { recursive: true, force: true, maxRetries: 5 }),
  );
  // As root, PostgreSQL and the apps run as users of their own, who have to get there.
  chmodSync(directory, 0o711);
  const github = stack.use(await startFakeGitHub());
  const webhookSecret = randomBytes(32).toString('hex');
  const operator = stack.adopt(
    await startOperatorProcess({
      directory,
      repositories: ['acme/*'],
      apiUrl: github.apiUrl,
      cloneBase: github.cloneBase,
      token: github.token,
      webhookSecret,
      gatewayPort: 0,
      // Test files run side by side, and each has an operator of its own.
      pool: `127.${randomInt(110, 250)}.${4 * randomInt(64)}.0/22`,
      limits,
      sections,
    }),
    (each) => each.stop(),
  );
  github.deliverTo({ url: `${operator.webhookUrl}/webhook/github`, secret: webhookSecret });
  const postgres = await startEmbeddedPostgres({
    directory: join(operator.stateDirectory, 'postgres'),
    log: silentLog,
  });
  return new RealService(github, operator, { databaseUrl: postgres.url, opened: stack.move() });
}

export class RealService implements AsyncDisposable {
  readonly github: FakeGitHub;
  readonly operator: OperatorProcess;
  readonly databaseUrl: string;
  readonly #opened: AsyncDisposableStack;

  constructor(
    github: FakeGitHub,
    operator: OperatorProcess,
    more: { databaseUrl: string; opened: AsyncDisposableStack },
  ) {
    this.github = github;
    this.operator = operator;
    this.databaseUrl = more.databaseUrl;
    this.#opened = more.opened;
  }

  /** A repository `acme/<name>` and a pull request in it with these files; resolves when its delivery was answered. */
  async open(name: string, files: FileChanges): Promise<FakePullRequest> {
    return (await this.repository(name, files)).openPullRequest({ head: 'feature' });
  }

  /** A repository `acme/<name>` with a branch `feature` that has these files. */
  async repository(name: string, files: FileChanges): Promise<FakeRepository> {
    const repository = await this.github.addRepository(`acme/${name}`, { 'README.md': `# ${name}\n` });
    await repository.commit('feature', files);
    return repository;
  }

  hostOf(pull: FakePullRequest, prefix = ''): string {
    const label = `${pull.base.name}-${pull.number}`;
    return `${prefix === '' ? label : `${prefix}-${label}`}.localhost:${this.operator.gatewayPort}`;
  }

  /** What the gateway answers at a preview's URL; status 0 when there was no answer. */
  get(pull: FakePullRequest, path = '/', prefix = ''): Promise<Answer> {
    return new Promise((resolve) => {
      const headers = { host: this.hostOf(pull, prefix), accept: 'text/html' };
      const options = {
        host: '127.0.0.1',
        port: this.operator.gatewayPort,
        path,
        headers,
        agent: false,
        timeout: 5_000,
      };
      const asking = request(options, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', () => resolve({ status: 0, body }));
      });
      asking.on('timeout', () => asking.destroy());
      asking.on('error', (error) => resolve({ status: 0, body: error.message }));
      asking.end();
    });
  }

  /** Resolves with the first answer of 200 whose body has the text. */
  async shows(pull: FakePullRequest, text: string, path = '/'): Promise<Answer> {
    let answer: Answer = { status: 0, body: '' };
    await this.until(
      `${this.hostOf(pull)}${path} shows ${text}`,
      async () => {
        answer = await this.get(pull, path);
        return answer.status === 200 && answer.body.includes(text);
      },
      { seen: () => `${answer.status} ${answer.body.slice(0, 200)}; comment: ${commentOf(pull)}` },
    );
    return answer;
  }

  /** Resolves with the comment once it has all the texts. There is never more than one. */
  async says(pull: FakePullRequest, ...texts: string[]): Promise<string> {
    await this.until(
      `the comment says ${texts.join(', ')}`,
      () => texts.every((text) => commentOf(pull).includes(text)),
      { seen: () => commentOf(pull) },
    );
    assert.equal(pull.comments.length, 1, 'one comment');
    return commentOf(pull);
  }

  /** Resolves once the last status of the commit is this one. */
  async hasStatus(pull: FakePullRequest, state: string, sha = pull.head): Promise<void> {
    const last = () => pull.statuses.findLast((status) => status.sha === sha);
    await this.until(`status ${state}`, () => last()?.state === state, { seen: () => JSON.stringify(last()) });
  }

  /** `preview <words>` on the operator's socket. */
  preview(...words: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    const socket = join(this.operator.stateDirectory, 'run', 'operator.sock');
    return new Promise((done) => {
      const env = { PATH: process.env['PATH'] ?? '', BERTH_SOCKET: socket };
      execFile(process.execPath, [PREVIEW, ...words], { env, timeout: PATIENCE_MS }, (error, stdout, stderr) =>
        done({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
      );
    });
  }

  inventory(): Promise<Inventory> {
    return takeInventory(this.operator.stateDirectory, this.databaseUrl);
  }

  /** Closes every pull request that is open; resolves when nothing of any preview is left. */
  async closeAll(): Promise<void> {
    const open = this.github.world.repositories
      .flatMap(({ pulls }) => pulls)
      .filter(({ state }) => state.state === 'open');
    await Promise.all(open.map((pull) => pull.close()));
    let left: Inventory = {};
    await this.until(
      'nothing is left',
      async () => {
        left = await this.inventory();
        return Object.values(left).every((count) => count === 0);
      },
      { seen: () => JSON.stringify(left), patienceMs: PATIENCE_MS + open.length * PATIENCE_PER_CLOSE_MS },
    );
  }

  async until(what: string, condition: () => boolean | Promise<boolean>, waiting: Waiting): Promise<void> {
    try {
      await waitUntil(what, condition, waiting.patienceMs ?? PATIENCE_MS);
    } catch (error) {
      const log = readFileSync(this.operator.logFile, 'utf8').trimEnd().split('\n').slice(-10).join('\n');
      throw new Error(`${(error as Error).message}\nseen last: ${waiting.seen()}\nthe operator’s last words:\n${log}`, {
        cause: error,
      });
    }
  }

  /** Previews outlive their operator: they are taken down first. Deliveries are let through again, whatever a test did. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.github.deliveries.passage = () => 'deliver';
      await this.closeAll();
    } finally {
      await this.#opened.disposeAsync();
    }
  }
}

export function commentOf(pull: FakePullRequest): string {
  return pull.comments.map((comment) => comment.body).join('\n--\n');
}
