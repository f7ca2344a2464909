/** Some histories at once on one operator, each with repositories of its own; and whether their worlds are right in the end. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startEmbeddedPostgres } from '../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import type { FakeDelivery, Passage } from '../support/fake-github/deliveries.ts';
import { startFakeGitHub, type FakeGitHub } from '../support/fake-github.ts';
import { startOperatorProcess, type LastWords, type OperatorProcess } from '../support/operator-process.ts';
import { silentLog } from '../support/silent-log.ts';
import type { RealFaultKind } from './faults.ts';
import { randomHistory, storyOf, type History, type HistoryEvent } from './history.ts';
import { SeededRandom } from './random.ts';
import { realPullProblems, takeRealInventory, type RealWorld } from './real-divergences.ts';
import { RealHistory } from './real-history.ts';

/** What was done to the operator, how often. */
export interface Interventions {
  /** kill -9, and started again. */
  readonly kill: number;
  /** SIGTERM, and started again. */
  readonly stop: number;
  /** A second one was started beside it, and refused. */
  readonly beside: number;
  /** kill -9, and two started at once, of which one was refused. */
  readonly two: number;
}

export const NO_INTERVENTIONS: Interventions = { kill: 0, stop: 0, beside: 0, two: 0 };

export interface BatchResult {
  readonly failures: readonly { readonly seed: number; readonly story: readonly string[] }[];
  readonly interventions: Interventions;
  /** How long the histories took, from their end until all was right for good, and then until all was closed and gone. */
  readonly restMs: readonly number[];
}

/** A history's forty virtual seconds take this share of them: the more are played at once, the more time each has. */
const paceOf = (histories: number) => 0.1 + 0.025 * histories;
/** The shortest that the configuration allows: a lost delivery costs this much. */
const SWEEP_SECONDS = 10;
/** Orphans wait for five minutes before they go; nothing else takes that long. */
const QUIET_MS_MAX = 8 * 60_000;
const LOOK_EVERY_MS = 1_000;
/** The world must stay right for this long: longer than a sweep and the work that it may find. */
const STAYS_RIGHT_MS = SWEEP_SECONDS * 1_000 + 3_000;
const LOG_LINES_TOLD = 30;

export async function playBatch(options: {
  seeds: readonly number[];
  faults: readonly RealFaultKind[];
  /** Loopback addresses that nobody else uses. */
  pool: string;
}): Promise<BatchResult> {
  const { seeds, faults, pool } = options;
  await using stack = new AsyncDisposableStack();
  const directory = stack.adopt(await mkdtemp(join(tmpdir(), 'berth-world-')), (path) =>
    rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  );
  // As root, PostgreSQL and the apps run as users of their own, who have to get there.
  await chmod(directory, 0o711);
  const github = stack.use(await startFakeGitHub());
  const histories = seeds.map((seed) => randomHistory(seed, faults));
  const played = await Promise.all(histories.map((history, index) => RealHistory.prepare(github, history, index)));
  const webhookSecret = randomBytes(32).toString('hex');
  const operator = stack.adopt(
    await startOperatorProcess({
      directory,
      repositories: played.flatMap((each) => each.allowedNames()),
      apiUrl: github.apiUrl,
      cloneBase: github.cloneBase,
      token: github.token,
      webhookSecret,
      gatewayPort: 0,
      pool,
      drafts: false,
      limits: { sweep_seconds: SWEEP_SECONDS },
    }),
    (each) => each.stop(),
  );
  github.deliverTo({ url: `${operator.webhookUrl}/webhook/github`, secret: webhookSecret });
  return await new Batch(github, operator, played).run(faults);
}

class Batch {
  readonly #github: FakeGitHub;
  readonly #operator: OperatorProcess;
  readonly #played: readonly RealHistory[];
  readonly #random: SeededRandom;
  /** Kills, stops and changed allow-lists, one after the other. */
  #turn: Promise<void> = Promise.resolve();
  readonly #interventions: Record<keyof Interventions, number> = { ...NO_INTERVENTIONS };
  /** What a second operator did that it must not. */
  readonly #intrusions: string[] = [];

  constructor(github: FakeGitHub, operator: OperatorProcess, played: readonly RealHistory[]) {
    this.#github = github;
    this.#operator = operator;
    this.#played = played;
    this.#random = new SeededRandom(played[0]?.history.seed ?? 0);
  }

  async run(faults: readonly RealFaultKind[]): Promise<BatchResult> {
    try {
      const startedAt = performance.now();
      await this.#play(faults);
      const playedAt = performance.now();
      const { url } = await startEmbeddedPostgres({
        directory: join(this.#operator.stateDirectory, 'postgres'),
        log: silentLog,
      });
      const failures = await this.#verdict(url);
      const rightAt = performance.now();
      const left = await this.#closeAll();
      const restMs = [playedAt - startedAt, rightAt - playedAt, performance.now() - rightAt];
      return { failures: left === null ? failures : [...failures, left], interventions: this.#interventions, restMs };
    } catch (error) {
      // Previews outlive their operator.
      await this.#closeAll();
      throw error;
    }
  }

  /** All events at their times; afterwards nothing goes wrong any more, and the operator runs. */
  async #play(faults: readonly RealFaultKind[]): Promise<void> {
    const random = this.#random;
    if (faults.includes('delivery')) this.#github.deliveries.passage = (delivery) => this.#passageOf(delivery);
    const startedAt = performance.now();
    const pace = paceOf(this.#played.length);
    await Promise.all(
      this.#played.map(async (each) => {
        for (const event of each.history.events) {
          await delay(Math.max(0, startedAt + event.atMs * pace - performance.now()));
          if (faults.includes('github') && random.chance(0.2))
            this.#github.faults.add({ fault: random.pick(GITHUB_FAULTS) });
          await this.#happen(each, event);
        }
      }),
    );
    await this.#turn;
    this.#nothingGoesWrong();
    await this.#github.deliveries.settled();
  }

  async #happen(played: RealHistory, event: HistoryEvent): Promise<void> {
    const { kind } = event;
    if (kind === 'second-operator') return this.#intervene(this.#random.pick(['beside', 'two']));
    if (kind === 'kill' || kind === 'stop') return this.#intervene(kind);
    if (kind !== 'allow' && kind !== 'disallow') return played.happen(event);
    played.setAllowed(event.repository, kind === 'allow');
    return this.#intervene('kill');
  }

  #intervene(how: keyof Interventions): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      this.#interventions[how] += 1;
      const now = { repositories: this.#allowed() };
      if (how === 'beside') return this.#mustBeRefused(await this.#operator.startBeside());
      await this.#operator[how === 'stop' ? 'stop' : 'kill']();
      if (how === 'two') return this.#mustBeRefused(await this.#operator.startTwo(now));
      return this.#operator.start(now);
    });
    return this.#turn;
  }

  #mustBeRefused({ status, text }: LastWords): void {
    if (status !== 1 || !text.includes('OPERATOR_ALREADY_RUNNING'))
      this.#intrusions.push(`a second operator ended with ${status}: ${text.slice(-300)}`);
  }

  /** Histories without sweeps have to come right by their deliveries alone: those may be late and doubled, but none is lost. */
  #passageOf(delivery: FakeDelivery): Passage {
    const random = this.#random;
    const owner = this.#played.find((each) => each.owns(delivery.repositoryId));
    if (owner?.history.sweeps === true && random.chance(0.2)) return 'drop';
    if (random.chance(0.2)) return { copies: random.integer(2, 5) };
    return random.chance(0.3) ? { delayMs: random.integer(0, 5_000) } : 'deliver';
  }

  #nothingGoesWrong(): void {
    this.#github.deliveries.passage = () => 'deliver';
    this.#github.faults.clear();
  }

  #allowed(): string[] {
    return this.#played.flatMap((each) => each.allowedNames());
  }

  /** The histories whose world is not as it should be when it has had its time, with what is wrong. */
  async #verdict(databaseUrl: string): Promise<BatchResult['failures']> {
    const deadline = performance.now() + QUIET_MS_MAX;
    let problems = await this.#problems(databaseUrl);
    let rightSince = performance.now();
    while (performance.now() < deadline) {
      if (problems.length === 0 && performance.now() - rightSince > STAYS_RIGHT_MS) return [];
      await delay(LOOK_EVERY_MS);
      problems = await this.#problems(databaseUrl);
      if (problems.length > 0) rightSince = performance.now();
    }
    const log = await this.#logEnd();
    return problems.map(({ history, texts }, index) => failureOf(history, texts, index === 0 ? log : []));
  }

  async #problems(databaseUrl: string): Promise<{ history: History; texts: string[] }[]> {
    const world: RealWorld = {
      operator: this.#operator,
      databaseUrl,
      allowed: this.#allowed(),
      apps: new Map(this.#played.flatMap((each) => [...each.apps])),
      strangers: new Set(this.#played.flatMap((each) => [...each.strangers])),
      acknowledged: this.#github.deliveries.all.filter(({ status }) => status === 202).map(({ guid }) => guid),
    };
    const inventory = await takeRealInventory(world);
    const found: { history: History; texts: string[] }[] = [];
    for (const [index, each] of this.#played.entries()) {
      // What belongs to nobody cannot be told by history: the first one has it.
      const texts = index === 0 ? [...this.#intrusions, ...inventory.problems] : [];
      for (const pull of each.pulls()) {
        const wrong = await realPullProblems(world, inventory, pull);
        texts.push(...wrong.map((text) => `${pull.base.fullName}#${pull.number}: ${text}`));
      }
      if (texts.length > 0) found.push({ history: each.history, texts });
    }
    return found;
  }

  /** Every pull request is closed, and then nothing of any preview may be left. */
  async #closeAll(): Promise<BatchResult['failures'][number] | null> {
    this.#nothingGoesWrong();
    const open = this.#played.flatMap((each) => each.pulls()).filter(({ state }) => state.state === 'open');
    await Promise.all(open.map((pull) => pull.close()));
    const instances = join(this.#operator.stateDirectory, 'instances');
    const left = async () => (await readdir(instances).catch(() => [])).filter((name) => !name.startsWith('.'));
    const deadline = performance.now() + CLOSE_MS_MAX;
    while ((await left()).length > 0 && performance.now() < deadline) await delay(LOOK_EVERY_MS);
    const [history] = this.#played.map((each) => each.history);
    const names = await left();
    if (names.length === 0 || history === undefined) return null;
    return failureOf(history, [`left after all was closed: ${names.join(', ')}`], await this.#logEnd());
  }

  async #logEnd(): Promise<string[]> {
    return (await readFile(this.#operator.logFile, 'utf8')).trimEnd().split('\n').slice(-LOG_LINES_TOLD);
  }
}

const CLOSE_MS_MAX = 60_000;

function failureOf(history: History, problems: readonly string[], log: readonly string[]) {
  return { seed: history.seed, story: [...storyOf(history), ...problems.map((text) => `=> ${text}`), ...log] };
}

const GITHUB_FAULTS = [
  { kind: 'status', status: 502 },
  { kind: 'status', status: 404 },
  { kind: 'reset' },
  { kind: 'html' },
  { kind: 'truncated' },
  { kind: 'slow', ms: 700 },
] as const;
