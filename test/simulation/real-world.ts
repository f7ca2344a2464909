/**
 * The same random histories as in the simulation, against the real thing: PostgreSQL, git, processes, the gateway, and an operator that is killed with
 * SIGKILL or stopped, and started again. Only GitHub is a stand-in. Several histories are played at once by one operator, each with repositories of its own.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startEmbeddedPostgres } from '../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import type { FakeDelivery, Passage } from '../support/fake-github/deliveries.ts';
import { startFakeGitHub, type FakeGitHub } from '../support/fake-github.ts';
import { startOperatorProcess, type OperatorProcess } from '../support/operator-process.ts';
import { silentLog } from '../support/silent-log.ts';
import { REAL_FAULT_KINDS, type RealFaultKind } from './faults.ts';
import { randomHistory, storyOf, type History, type HistoryEvent } from './history.ts';
import { SeededRandom } from './random.ts';
import { realPullProblems, takeRealInventory, type RealWorld } from './real-divergences.ts';
import { RealHistory } from './real-history.ts';

export interface RealWorldOptions {
  readonly schedules: number;
  /** Schedule number n has the seed `seed + n`. */
  readonly seed: number;
  readonly faults?: readonly RealFaultKind[];
}

export interface RealWorldResult {
  readonly schedules: number;
  readonly divergences: number;
  readonly perSecond: number;
  readonly seed: number;
  readonly faults: readonly RealFaultKind[];
  readonly failures: readonly { readonly seed: number; readonly story: readonly string[] }[];
}

/** Histories that one operator plays at a time: enough to keep two cores busy while each waits for its next event. */
const BATCH = 20;
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

/** Plays all histories and compares each world with its model once it has come to rest. */
export async function playRealWorld(options: RealWorldOptions): Promise<RealWorldResult> {
  const { schedules, seed, faults = REAL_FAULT_KINDS } = options;
  const startedAt = performance.now();
  const failures: RealWorldResult['failures'][number][] = [];
  for (let from = 0; from < schedules; from += BATCH) {
    const seeds = Array.from({ length: Math.min(BATCH, schedules - from) }, (_, index) => seed + from + index);
    failures.push(...(await playBatch(seeds, faults)));
  }
  const perSecond = Math.round((schedules / (performance.now() - startedAt)) * 100_000) / 100;
  return { schedules, divergences: failures.length, perSecond, seed, faults, failures };
}

async function playBatch(
  seeds: readonly number[],
  faults: readonly RealFaultKind[],
): Promise<RealWorldResult['failures']> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.adopt(await mkdtemp(join(tmpdir(), 'berth-world-')), (path) =>
    rm(path, { recursive: true, force: true }),
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
      pool: `127.${randomInt(110, 250)}.${4 * randomInt(64)}.0/22`,
      drafts: false,
      limits: { sweep_seconds: SWEEP_SECONDS },
    }),
    (each) => each.stop(),
  );
  github.deliverTo({ url: `${operator.webhookUrl}/webhook/github`, secret: webhookSecret });
  const batch = new Batch(github, operator, played);
  try {
    await batch.play(faults);
    const { url } = await startEmbeddedPostgres({
      directory: join(operator.stateDirectory, 'postgres'),
      log: silentLog,
    });
    return await batch.verdict(url);
  } finally {
    await batch.closeAll();
  }
}

class Batch {
  readonly #github: FakeGitHub;
  readonly #operator: OperatorProcess;
  readonly #played: readonly RealHistory[];
  /** Kills, stops and changed allow-lists, one after the other. */
  #restarts: Promise<void> = Promise.resolve();

  constructor(github: FakeGitHub, operator: OperatorProcess, played: readonly RealHistory[]) {
    this.#github = github;
    this.#operator = operator;
    this.#played = played;
  }

  /** All events at their times; afterwards nothing goes wrong any more, and the operator runs. */
  async play(faults: readonly RealFaultKind[]): Promise<void> {
    const random = new SeededRandom(this.#played[0]?.history.seed ?? 0);
    if (faults.includes('delivery')) this.#github.deliveries.passage = (delivery) => this.#passageOf(random, delivery);
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
    await this.#restarts;
    this.#github.deliveries.passage = () => 'deliver';
    this.#github.faults.clear();
    await this.#github.deliveries.settled();
  }

  async #happen(played: RealHistory, event: HistoryEvent): Promise<void> {
    const { kind } = event;
    if (kind === 'allow' || kind === 'disallow') played.setAllowed(event.repository, kind === 'allow');
    if (kind === 'stop') return this.#restart('stop');
    // A second operator refuses to start on one state directory; what is left of that story is the death of the first.
    const isDeath = kind === 'kill' || kind === 'second-operator' || kind === 'allow' || kind === 'disallow';
    return isDeath ? this.#restart('kill') : played.happen(event);
  }

  #restart(how: 'kill' | 'stop'): Promise<void> {
    this.#restarts = this.#restarts.then(async () => {
      await this.#operator[how]();
      await this.#operator.start({ repositories: this.#allowed() });
    });
    return this.#restarts;
  }

  /** Histories without sweeps have to come right by their deliveries alone: those may be late and doubled, but none is lost. */
  #passageOf(random: SeededRandom, delivery: FakeDelivery): Passage {
    const owner = this.#played.find((each) => each.owns(delivery.repositoryId));
    if (owner?.history.sweeps === true && random.chance(0.2)) return 'drop';
    if (random.chance(0.2)) return { copies: random.integer(2, 5) };
    return random.chance(0.3) ? { delayMs: random.integer(0, 5_000) } : 'deliver';
  }

  #allowed(): string[] {
    return this.#played.flatMap((each) => each.allowedNames());
  }

  /** The histories whose world is not as it should be when it has had its time, with what is wrong. */
  async verdict(databaseUrl: string): Promise<RealWorldResult['failures']> {
    const deadline = performance.now() + QUIET_MS_MAX;
    let problems = await this.#problems(databaseUrl);
    let rightSince = performance.now();
    while (performance.now() < deadline) {
      if (problems.length === 0 && performance.now() - rightSince > STAYS_RIGHT_MS) return [];
      await delay(LOOK_EVERY_MS);
      problems = await this.#problems(databaseUrl);
      if (problems.length > 0) rightSince = performance.now();
    }
    const log = (await readFile(this.#operator.logFile, 'utf8')).trimEnd().split('\n').slice(-LOG_LINES_TOLD);
    return problems.map(({ history, texts }, index) => ({
      seed: history.seed,
      story: [...storyOf(history), ...texts.map((text) => `=> ${text}`), ...(index === 0 ? log : [])],
    }));
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
      const texts = index === 0 ? [...inventory.problems] : [];
      for (const pull of each.pulls()) {
        const wrong = await realPullProblems(world, inventory, pull);
        texts.push(...wrong.map((text) => `${pull.base.fullName}#${pull.number}: ${text}`));
      }
      if (texts.length > 0) found.push({ history: each.history, texts });
    }
    return found;
  }

  /** Previews outlive their operator, so all go before it does. */
  async closeAll(): Promise<void> {
    this.#github.deliveries.passage = () => 'deliver';
    this.#github.faults.clear();
    const open = this.#played.flatMap((each) => each.pulls()).filter(({ state }) => state.state === 'open');
    await Promise.all(open.map((pull) => pull.close()));
    const instances = join(this.#operator.stateDirectory, 'instances');
    const deadline = performance.now() + CLOSE_MS_MAX;
    while ((await readdir(instances).catch(() => [])).length > 0 && performance.now() < deadline)
      await delay(LOOK_EVERY_MS);
  }
}

const CLOSE_MS_MAX = 60_000;

const GITHUB_FAULTS = [
  { kind: 'status', status: 502 },
  { kind: 'status', status: 404 },
  { kind: 'reset' },
  { kind: 'html' },
  { kind: 'truncated' },
  { kind: 'slow', ms: 700 },
] as const;
