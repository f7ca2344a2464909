/** Some histories at once on one operator, each with repositories of its own; and whether their worlds are right in the end. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { FakeDelivery, Passage } from '../support/fake-github/deliveries.ts';
import type { LastWords } from '../support/operator-process.ts';
import type { RealFaultKind } from './faults.ts';
import { randomHistory, storyOf, type History, type HistoryEvent } from './history.ts';
import { SeededRandom } from './random.ts';
import { realPullProblems, takeRealInventory, type RealWorld } from './real-divergences.ts';
import { RealHistory } from './real-history.ts';
import { SWEEP_SECONDS, type OpenStage, type RealStage } from './real-stage.ts';

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
  /** kill -9 of hostd, where there is one, with an operator that goes on. */
  readonly hostd: number;
  /** kill -9 of both, and started again. */
  readonly all: number;
}

export const NO_INTERVENTIONS: Interventions = { kill: 0, stop: 0, beside: 0, two: 0, hostd: 0, all: 0 };

export interface BatchResult {
  readonly failures: readonly { readonly seed: number; readonly story: readonly string[] }[];
  readonly interventions: Interventions;
  /** How long the histories took, from their end until all was right for good, and then until all was closed and gone. */
  readonly restMs: readonly number[];
}

/** A history's forty virtual seconds take this share of them: the more are played at once, the more time each has. */
const paceOf = (histories: number) => 0.1 + 0.025 * histories;
/** Orphans wait for five minutes before they go; nothing else takes that long. */
const QUIET_MS_MAX = 8 * 60_000;
const LOOK_EVERY_MS = 1_000;
/** The world must stay right for this long: longer than a sweep and the work that it may find. */
const STAYS_RIGHT_MS = SWEEP_SECONDS * 1_000 + 3_000;
const LOG_LINES_TOLD = 30;

export interface BatchOptions {
  readonly seeds: readonly number[];
  readonly faults: readonly RealFaultKind[];
}

export async function playBatch(options: BatchOptions & { readonly openStage: OpenStage }): Promise<BatchResult> {
  const { seeds, faults, openStage } = options;
  await using stack = new AsyncDisposableStack();
  let played: RealHistory[] = [];
  const stage = await openStage(stack, async (github) => {
    const histories = seeds.map((seed) => randomHistory(seed, faults));
    played = await Promise.all(histories.map((history, index) => RealHistory.prepare(github, history, index)));
    return { repositories: played.flatMap((each) => each.allowedNames()) };
  });
  return await new Batch(stage, played).run(faults);
}

class Batch {
  readonly #stage: RealStage;
  readonly #played: readonly RealHistory[];
  readonly #random: SeededRandom;
  /** Kills, stops and changed allow-lists, one after the other. */
  #turn: Promise<void> = Promise.resolve();
  readonly #interventions: Record<keyof Interventions, number> = { ...NO_INTERVENTIONS };
  /** What a second operator did that it must not. */
  readonly #intrusions: string[] = [];

  constructor(stage: RealStage, played: readonly RealHistory[]) {
    this.#stage = stage;
    this.#played = played;
    this.#random = new SeededRandom(played[0]?.history.seed ?? 0);
  }

  async run(faults: readonly RealFaultKind[]): Promise<BatchResult> {
    try {
      const startedAt = performance.now();
      await this.#play(faults);
      const playedAt = performance.now();
      const failures = await this.#verdict();
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
    if (faults.includes('delivery')) this.#stage.github.deliveries.passage = (delivery) => this.#passageOf(delivery);
    const startedAt = performance.now();
    const pace = paceOf(this.#played.length);
    await Promise.all(
      this.#played.map(async (each) => {
        for (const event of each.history.events) {
          await delay(Math.max(0, startedAt + event.atMs * pace - performance.now()));
          if (faults.includes('github') && random.chance(0.2))
            this.#stage.github.faults.add({ fault: random.pick(GITHUB_FAULTS) });
          await this.#happen(each, event);
        }
      }),
    );
    await this.#turn;
    this.#nothingGoesWrong();
    await this.#stage.github.deliveries.settled();
  }

  async #happen(played: RealHistory, event: HistoryEvent): Promise<void> {
    const { kind } = event;
    if (kind === 'second-operator') return this.#intervene(this.#random.pick(['beside', 'two']));
    if (kind === 'stop') return this.#intervene('stop');
    if (kind === 'kill')
      return this.#intervene(this.#stage.killHostd === null ? 'kill' : this.#random.pick(['kill', 'hostd', 'all']));
    if (kind !== 'allow' && kind !== 'disallow') return played.happen(event);
    played.setAllowed(event.repository, kind === 'allow');
    return this.#intervene('kill');
  }

  #intervene(how: keyof Interventions): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      this.#interventions[how] += 1;
      const { operator, killHostd } = this.#stage;
      const now = { repositories: this.#allowed() };
      if (how === 'beside') return this.#mustBeRefused(await operator.startBeside());
      if (how === 'hostd') return killHostd?.();
      await operator[how === 'stop' ? 'stop' : 'kill']();
      if (how === 'all') await killHostd?.();
      if (how === 'two') return this.#mustBeRefused(await operator.startTwo(now));
      return operator.start(now);
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
    this.#stage.github.deliveries.passage = () => 'deliver';
    this.#stage.github.faults.clear();
  }

  #allowed(): string[] {
    return this.#played.flatMap((each) => each.allowedNames());
  }

  /** The histories whose world is not as it should be when it has had its time, with what is wrong. */
  async #verdict(): Promise<BatchResult['failures']> {
    const deadline = performance.now() + QUIET_MS_MAX;
    let problems = await this.#problems();
    let rightSince = performance.now();
    while (performance.now() < deadline) {
      if (problems.length === 0 && performance.now() - rightSince > STAYS_RIGHT_MS) return [];
      await delay(LOOK_EVERY_MS);
      problems = await this.#problems();
      if (problems.length > 0) rightSince = performance.now();
    }
    const log = await this.#logEnd();
    return problems.map(({ history, texts }, index) => failureOf(history, texts, index === 0 ? log : []));
  }

  #world(): RealWorld {
    return {
      stage: this.#stage,
      allowed: this.#allowed(),
      apps: new Map(this.#played.flatMap((each) => [...each.apps])),
      strangers: new Set(this.#played.flatMap((each) => [...each.strangers])),
      acknowledged: this.#stage.github.deliveries.all.filter(({ status }) => status === 202).map(({ guid }) => guid),
    };
  }

  async #problems(): Promise<{ history: History; texts: string[] }[]> {
    const world = this.#world();
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
    const left = async () => (await takeRealInventory(this.#world())).things;
    const deadline = performance.now() + CLOSE_MS_MAX;
    while ((await left()).length > 0 && performance.now() < deadline) await delay(LOOK_EVERY_MS);
    const [history] = this.#played.map((each) => each.history);
    const names = (await left()).map(({ what, name }) => `${what} ${name}`);
    if (names.length === 0 || history === undefined) return null;
    return failureOf(history, [`left after all was closed: ${names.join(', ')}`], await this.#logEnd());
  }

  async #logEnd(): Promise<string[]> {
    return (await readFile(this.#stage.operator.logFile, 'utf8')).trimEnd().split('\n').slice(-LOG_LINES_TOLD);
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
