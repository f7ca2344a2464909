/** The real service (`webhook/main.ts`) on a folder, to be killed and started again there; GitHub is a stand-in that knows no pull request. */
import { randomInt } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startOperatorProcess, type OperatorProcess } from '../operator-process.ts';
import { startFakeGitHub, type FakeGitHub } from '../fake-github.ts';
import { postmasterOf, processTree } from './acknowledgement-order.ts';
import { DELIVERY_REPOSITORY, DELIVERY_SECRET } from './sent-deliveries.ts';

export class AnOperator implements AsyncDisposable {
  readonly github: FakeGitHub;
  readonly repositoryId: number;
  readonly #folder: string;
  readonly #databaseUrl: string | null;
  readonly #pool = `127.${randomInt(110, 250)}.${randomInt(256)}.0/24`;
  #process: OperatorProcess | null = null;

  private constructor(github: FakeGitHub, repositoryId: number, at: { folder: string; databaseUrl: string | null }) {
    this.github = github;
    this.repositoryId = repositoryId;
    this.#folder = at.folder;
    this.#databaseUrl = at.databaseUrl;
  }

  /** Starts it, on its embedded PostgreSQL unless another is given. */
  static async start(databaseUrl: string | null = null): Promise<AnOperator> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-durability-'));
    // As root, PostgreSQL runs as a user of its own, who has to get there.
    await chmod(folder, 0o755);
    const github = await startFakeGitHub();
    const { id } = await github.addRepository(DELIVERY_REPOSITORY);
    const operator = new AnOperator(github, id, { folder, databaseUrl });
    try {
      await operator.startAgain();
    } catch (error) {
      await operator[Symbol.asyncDispose]();
      throw error;
    }
    return operator;
  }

  get process(): OperatorProcess {
    if (this.#process === null) throw new Error('the operator was not started');
    return this.#process;
  }

  get port(): number {
    return Number(new URL(this.process.webhookUrl).port);
  }

  /** On the same folder; rejects when it does not become ready. */
  async startAgain(): Promise<void> {
    if (this.#process !== null) return this.#process.start();
    this.#process = await startOperatorProcess({
      directory: this.#folder,
      repositories: [DELIVERY_REPOSITORY],
      apiUrl: this.github.apiUrl,
      cloneBase: this.github.cloneBase,
      token: this.github.token,
      webhookSecret: DELIVERY_SECRET,
      gatewayPort: 0,
      pool: this.#pool,
      ...(this.#databaseUrl === null ? {} : { databaseUrl: this.#databaseUrl }),
    });
  }

  /** Of its state. */
  async databaseUrl(): Promise<string> {
    if (this.#databaseUrl !== null) return this.#databaseUrl;
    const read = async (name: string) => (await readFile(join(this.#postgres, name), 'utf8')).trim();
    return `postgres://berth:${await read('password')}@127.0.0.1:${await read('port')}/berth`;
  }

  /** The embedded PostgreSQL's main process. */
  postmaster(): Promise<number> {
    return postmasterOf(this.#postgres);
  }

  /** kill -9 of every process of the embedded PostgreSQL, the main one first. */
  async killPostgres(): Promise<void> {
    for (const pid of await processTree(await this.postmaster())) killIfThere(pid, 'SIGKILL');
  }

  /** How often GitHub has been asked for a pull request, or for those from some request on. */
  looksAt(number: number, from = 0): number {
    const path = new RegExp(`/pulls/${number}$`);
    return this.github.requests.slice(from).filter((each) => each.method === 'GET' && path.test(each.path)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.stop();
    // When the operator was dead, its PostgreSQL is still there.
    if (this.#databaseUrl === null) await this.killPostgres().catch(() => undefined);
    await this.github.close();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  get #postgres(): string {
    return join(this.#folder, 'state', 'postgres');
  }
}

function killIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
