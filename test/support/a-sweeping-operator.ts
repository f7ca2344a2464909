/**
 * The webhook's listener, the jobs and the state as they are in production, with the stand-in GitHub in front. There is no host: the pull requests of
 * these tests come from forks, of which nothing is fetched or run.
 */
import { createPullRequests } from '../../webhook/adapters/github/pull-requests.ts';
import { connectToGitHub, type GitHubIdentity } from '../../webhook/adapters/github/github-client.ts';
import { createRedeliveries } from '../../webhook/adapters/github/redeliveries.ts';
import { createReports } from '../../webhook/adapters/github/reports.ts';
import { WEBHOOK_PATH } from '../../webhook/core/pull-request.ts';
import { jobHandlers } from '../../webhook/jobs/handlers.ts';
import type { Log, Operator } from '../../webhook/ports.ts';
import { AWebhookServer, SECRET } from './a-webhook-server.ts';
import type { FakePullRequest } from './fake-github/pull-request.ts';
import type { FakeRepository } from './fake-github/repository.ts';
import { startFakeGitHub, type FakeGitHub } from './fake-github.ts';
import { silentLog } from './silent-log.ts';
import { onServer } from './on-server.ts';
import { openTestState, type TestState } from './test-state.ts';
import { waitUntil } from './wait-until.ts';

/** The next sweep comes when a test asks for it. */
const SWEEP_INTERVAL_MS = 3_600_000;

/** On a drowning machine. */
const PATIENCE_MS = 60_000;

export class ASweepingOperator implements AsyncDisposable {
  readonly github: FakeGitHub;
  readonly state: TestState;
  readonly server: AWebhookServer;
  /** What was logged for people, as `level message`. */
  readonly said: string[] = [];
  #sweeps = 0;
  readonly #stack: AsyncDisposableStack;

  private constructor(parts: Pick<ASweepingOperator, 'github' | 'state' | 'server'>, stack: AsyncDisposableStack) {
    this.github = parts.github;
    this.state = parts.state;
    this.server = parts.server;
    this.#stack = stack;
  }

  static async start(options: { repositories: readonly string[]; as?: 'token' | 'app' }): Promise<ASweepingOperator> {
    await using stack = new AsyncDisposableStack();
    const github = stack.use(await startFakeGitHub());
    const state = stack.use(await openTestState());
    const { repositories } = options;
    const { intake } = state;
    const server = stack.use(await AWebhookServer.start({ intake, repositories }));
    const operator = new ASweepingOperator({ github, state, server }, stack.move());
    const identity: GitHubIdentity =
      options.as === 'app' ? { kind: 'app', ...github.addApp() } : { kind: 'token', token: github.token };
    const handlers = jobHandlers(operator.#ports(identity, repositories), { sweepIntervalMs: SWEEP_INTERVAL_MS });
    await state.worker.start(
      {
        ...handlers,
        sweep: async (signal) => {
          await handlers.sweep(signal);
          operator.#sweeps += 1;
        },
      },
      { concurrency: 2 },
    );
    return operator;
  }

  /** Where GitHub sends our webhook. */
  get hook(): { url: string; secret: string } {
    return { url: `${this.server.url}${WEBHOOK_PATH}`, secret: SECRET };
  }

  /** A repository with a webhook of its own that leads to us. */
  async addRepository(name: string): Promise<FakeRepository> {
    const repository = await this.github.addRepository(name, { 'index.html': 'one' });
    const events = ['pull_request', 'issue_comment'];
    this.github.world.addHook({ ...this.hook, contentType: 'json', repositoryId: repository.id, events });
    return repository;
  }

  /** A pull request that nothing of is run. */
  async openFromFork(repository: FakeRepository): Promise<FakePullRequest> {
    const { world } = this.github;
    const fork = world.find(`mona/${repository.name}`) ?? (await repository.fork('mona'));
    return repository.openPullRequest({ from: fork, head: 'main', author: 'mona' });
  }

  /** One sweep, and everything that it asked for. */
  async sweep(): Promise<void> {
    const before = this.#sweeps;
    await this.state.jobs.enqueueSweep();
    await waitUntil('the sweep to end', () => this.#sweeps > before, PATIENCE_MS);
    await this.rest();
  }

  /** Until no job is left but the next sweep. */
  async rest(): Promise<void> {
    const jobs = "select 1 from graphile_worker.jobs where task_identifier <> 'sweep'";
    const isOver = async () => (await onServer(this.state.url, jobs)).length === 0;
    await waitUntil('all jobs to end', isOver, PATIENCE_MS);
  }

  /** The previews that there are, as `owner/name#number`. */
  async previews(): Promise<string[]> {
    const records = await this.state.store.list();
    return records.map(
      ({ repository, key }) => `${repository}#${key.subject.kind === 'pull' ? key.subject.number : ''}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #ports(identity: GitHubIdentity, repositories: readonly string[]): Operator {
    const say = (level: string) => (_fields: object, message: string) => void this.said.push(`${level} ${message}`);
    const log: Log = { ...silentLog, info: say('info'), warn: say('warn'), child: () => log };
    const client = connectToGitHub({ apiUrl: this.github.apiUrl, identity, log, paceWrites: false });
    const nothing = () => Promise.resolve([]);
    const host = {
      runtime: { list: nothing },
      databases: { list: nothing, listTemplates: nothing },
      routes: { list: nothing, defects: nothing },
      sources: { removeUnused: () => Promise.resolve() },
    };
    return {
      ...(host as unknown as Pick<Operator, 'runtime' | 'databases' | 'routes' | 'sources' | 'health' | 'secrets'>),
      policy: { repositories, drafts: true },
      clock: { now: () => new Date(), sleep: never },
      log,
      random: { password: () => 'unused' },
      pullRequests: createPullRequests(client),
      reports: createReports(client, { markerSecret: SECRET, log }),
      redeliveries: createRedeliveries(client, { webhookPath: WEBHOOK_PATH, log }),
      store: this.state.store,
      jobs: this.state.jobs,
    };
  }
}

/** Deadlines never come in these tests; what waits for one is told when it is over. */
function never(_ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
