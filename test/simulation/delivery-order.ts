/** Promise R4: in whatever order GitHub's deliveries arrive, the world that they lead to is the same. */
import { isDeepStrictEqual } from 'node:util';
import { divergencesOf } from './divergences.ts';
import { randomHistory, type History, type HistoryEvent } from './history.ts';
import { SeededRandom } from './random.ts';
import { World } from './world.ts';

/** 5! = 120 orders: the longest history of which all can be tried. */
const EVENTS_MAX = 5;
/** Deliveries arrive this far apart, so that some fall into the work of those before and some do not. */
const GAP_MS_MAX = 3_000;
const QUIET_MS = 120_000;

export interface OrderResult {
  readonly histories: number;
  readonly permutations: number;
  /** Histories that do not end in one state, or in a wrong one; each with its seed. */
  readonly wrong: readonly { readonly seed: number; readonly problem: string }[];
}

/** Tries every order of the deliveries of `histories` histories. No sweep runs: the deliveries alone have to do it. */
export async function tryAllOrders(options: { histories: number; seed: number }): Promise<OrderResult> {
  const wrong: { seed: number; problem: string }[] = [];
  let permutations = 0;
  let found = 0;
  for (let seed = options.seed; found < options.histories; seed += 1) {
    const history = shortHistory(seed);
    if (history === null) continue;
    found += 1;
    const states: unknown[] = [];
    for (const order of permutationsOf(history.events.length)) {
      permutations += 1;
      const { state, problems } = await endOf(history, order);
      const problem = problems[0];
      if (problem !== undefined) wrong.push({ seed, problem: `order ${order.join(' ')}: ${problem}` });
      if (!states.some((each) => isDeepStrictEqual(each, state))) states.push(state);
    }
    if (states.length > 1) wrong.push({ seed, problem: `${states.length} different end states` });
  }
  return { histories: found, permutations, wrong };
}

/** The first events of a history, all of them of one kind: those that GitHub announces. Null when it has too few. */
function shortHistory(seed: number): History | null {
  const history = randomHistory(seed, []);
  const events = history.events.filter(isAnnounced).slice(0, EVENTS_MAX);
  return events.length < 3 ? null : { ...history, sweeps: false, events };
}

function isAnnounced(event: HistoryEvent): boolean {
  return 'number' in event;
}

async function endOf(history: History, order: readonly number[]): Promise<{ state: unknown; problems: string[] }> {
  const world = new World(history);
  const random = new SeededRandom(history.seed);
  const held: (() => void)[] = [];
  world.onAnnounce = (send) => held.push(send);
  world.startOperator();
  for (const event of history.events) world.happen(event);
  // An event that was not possible (a push to what is not open) was not announced.
  for (const index of order.filter((each) => each < held.length)) {
    held[index]?.();
    await world.clock.run(world.clock.elapsedMs + random.integer(0, GAP_MS_MAX));
  }
  await world.clock.run(world.clock.elapsedMs + QUIET_MS);
  return { state: world.summary(), problems: divergencesOf(world) };
}

function permutationsOf(length: number): number[][] {
  if (length === 0) return [[]];
  return permutationsOf(length - 1).flatMap((rest) =>
    Array.from({ length }, (_, at) => [...rest.slice(0, at), length - 1, ...rest.slice(at)]),
  );
}
