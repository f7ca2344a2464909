/** Promise R6: a pull request that is closed at any moment of its preview's coming up or updating leaves nothing. */
import { divergencesOf } from './divergences.ts';
import { REPOSITORIES } from './history.ts';
import { SeededRandom } from './random.ts';
import { World } from './world.ts';

const PULL = { repository: REPOSITORIES[0].id, number: 7 };
const LIVE_BY_MS = 20_000;
const QUIET_MS = 120_000;
/** Moments inside a step, besides its boundaries. */
const MOMENTS_PER_STEP = 20;

export interface CloseResult {
  /** Boundaries of operations that a bring-up and an update reach. */
  readonly boundaries: number;
  readonly runs: number;
  readonly leftovers: readonly string[];
  /** Virtual time from the close to nothing being left. */
  readonly goneMs: { readonly p50: number; readonly p99: number };
}

/** Closes at every boundary of every operation of a bring-up and of an update, and at random moments in between. */
export async function closeEverywhere(seed: number): Promise<CloseResult> {
  const boundaries = (await runOnce(seed, null)).reached;
  const random = new SeededRandom(seed);
  const leftovers: string[] = [];
  const times: number[] = [];
  for (let boundary = 1; boundary <= boundaries; boundary += 1) {
    for (let moment = 0; moment <= MOMENTS_PER_STEP; moment += 1) {
      const delayMs = moment === 0 ? 0 : random.integer(1, 1_500);
      const run = await runOnce(seed, { boundary, delayMs });
      leftovers.push(...run.leftovers.map((text) => `closed ${delayMs} ms after boundary ${boundary}: ${text}`));
      times.push(run.goneMs);
    }
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { boundaries, runs: times.length, leftovers, goneMs: { p50: at(0.5), p99: at(0.99) } };
}

interface CloseAt {
  readonly boundary: number;
  readonly delayMs: number;
}

async function runOnce(
  seed: number,
  closeAt: CloseAt | null,
): Promise<{ reached: number; leftovers: string[]; goneMs: number }> {
  const world = new World({ seed, faults: [], sweeps: false });
  const random = new SeededRandom(seed);
  let reached = 0;
  let closedAtMs: number | null = null;
  const close = () => {
    if (closedAtMs !== null) return;
    closedAtMs = world.clock.elapsedMs;
    world.happen({ kind: 'close', atMs: 0, ...PULL });
  };
  world.faults.onReach = () => {
    reached += 1;
    if (reached === closeAt?.boundary) world.clock.at(closeAt.delayMs, close);
  };
  world.startOperator();
  world.happen({
    kind: 'open',
    atMs: 0,
    sha: random.sha(),
    app: 'with-database',
    author: 'member',
    draft: false,
    ...PULL,
  });
  await world.clock.run(LIVE_BY_MS, () => closedAtMs !== null);
  if (closedAtMs === null) world.happen({ kind: 'push', atMs: 0, sha: random.sha(), app: 'good', ...PULL });
  await world.clock.run(2 * LIVE_BY_MS, () => closedAtMs !== null);
  const counted = reached;
  close();
  const isGone = () => closedAtMs !== null && world.state.previews.size === 0 && world.state.deliveries.size > 0;
  await world.clock.run(world.clock.elapsedMs + QUIET_MS, isGone);
  const goneMs = world.clock.elapsedMs - (closedAtMs ?? 0);
  await world.clock.run(world.clock.elapsedMs + QUIET_MS);
  return { reached: counted, leftovers: divergencesOf(world), goneMs };
}
