/** Promise R5: when every delivery is lost, the sweep alone leads to the right world. */
import { SWEEP_INTERVAL_MS } from '../../webhook/core/limits.ts';
import { divergencesOf } from './divergences.ts';
import { randomHistory } from './history.ts';
import { World } from './world.ts';

const LOOK_MS = 5_000;
const QUIET_MS_MAX = 30 * 60_000;

export interface LostDeliveriesResult {
  readonly histories: number;
  readonly notConverged: readonly { readonly seed: number; readonly problem: string }[];
  /** Virtual time from the last event until all was as it should be. */
  readonly stalenessMs: { readonly p50: number; readonly max: number };
  readonly sweepIntervalMs: number;
}

/** Plays histories without faults of which not one delivery arrives. */
export async function loseAllDeliveries(options: { histories: number; seed: number }): Promise<LostDeliveriesResult> {
  const notConverged: { seed: number; problem: string }[] = [];
  const times: number[] = [];
  for (let seed = options.seed; seed < options.seed + options.histories; seed += 1) {
    const world = new World({ seed, faults: [], sweeps: true });
    world.onAnnounce = () => undefined;
    await world.play(randomHistory(seed, []));
    const sinceMs = world.clock.elapsedMs;
    let problems = divergencesOf(world);
    while (problems.length > 0 && world.clock.elapsedMs - sinceMs < QUIET_MS_MAX) {
      await world.clock.run(world.clock.elapsedMs + LOOK_MS);
      problems = divergencesOf(world);
    }
    if (problems[0] !== undefined) notConverged.push({ seed, problem: problems[0] });
    times.push(world.clock.elapsedMs - sinceMs);
  }
  times.sort((a, b) => a - b);
  const stalenessMs = { p50: times[Math.floor(times.length / 2)] ?? 0, max: times.at(-1) ?? 0 };
  return { histories: options.histories, notConverged, stalenessMs, sweepIntervalMs: SWEEP_INTERVAL_MS };
}
