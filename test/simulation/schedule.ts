/** Runs one history in a world of its own and says what is wrong afterwards; makes a failing one as short as it can be. */
import { SWEEP_INTERVAL_MS } from '../../webhook/core/limits.ts';
import { divergencesOf } from './divergences.ts';
import type { History } from './history.ts';
import { World } from './world.ts';

export interface ScheduleResult {
  readonly divergences: string[];
  readonly covered: ReadonlySet<string>;
  /** What went wrong on the way, for the story. */
  readonly log: readonly string[];
}

/** Quiet time after the last event in which the world must have come to rest: an orphan's observation interval and some sweeps. */
const QUIET_MS_MAX = 30 * 60_000;

export async function runSchedule(history: History): Promise<ScheduleResult> {
  const world = new World(history);
  await world.play(history);
  let divergences: string[] = [];
  for (let quietMs = 0; quietMs <= QUIET_MS_MAX; quietMs += SWEEP_INTERVAL_MS) {
    await world.clock.run(world.clock.elapsedMs + SWEEP_INTERVAL_MS + 1_000);
    divergences = [...world.violations, ...divergencesOf(world)];
    if (divergences.length === 0) break;
  }
  return { divergences, covered: world.faults.covered, log: world.log };
}

/** Takes events away for as long as the schedule still fails. Each try runs the whole schedule again. */
export async function shrink(history: History, triesMax = 300): Promise<History> {
  let smallest = history;
  let tries = 0;
  for (let size = Math.ceil(history.events.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < smallest.events.length && tries < triesMax; ) {
      const events = smallest.events.filter((_, index) => index < start || index >= start + size);
      tries += 1;
      const candidate = { ...smallest, events };
      if ((await runSchedule(candidate)).divergences.length > 0) smallest = candidate;
      else start += size;
    }
  }
  return smallest;
}
