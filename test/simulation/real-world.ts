/**
 * The same random histories as in the simulation, against the real thing, and an operator that is killed with SIGKILL or stopped, and started again,
 * also twice at once. Only GitHub is a stand-in. Two worlds: `real` is the embedded default (PostgreSQL, git, processes, the gateway), `host` the
 * stack of a NixOS host on test hosts (containers, hostd, Caddy, nftables). Histories are played in batches, several batches side by side: while one
 * waits for its world to stay right, others keep the cores busy.
 */
import { randomInt } from 'node:crypto';
import { inspect } from 'node:util';
import { REAL_FAULT_KINDS, type RealFaultKind } from './faults.ts';
import { playOnTestHost } from './play-on-test-host.ts';
import { processStage } from './process-stage.ts';
import { NO_INTERVENTIONS, playBatch, type BatchOptions, type BatchResult, type Interventions } from './real-batch.ts';

export type RealWorldName = 'real' | 'host';

export interface RealWorldOptions {
  readonly world: RealWorldName;
  readonly schedules: number;
  /** Schedule number n has the seed `seed + n`. */
  readonly seed: number;
  readonly faults?: readonly RealFaultKind[];
  /** Told what came of each batch, for runs that take a while. */
  readonly onProgress?: (line: string) => void;
}

export interface RealWorldResult {
  readonly schedules: number;
  readonly divergences: number;
  readonly perSecond: number;
  readonly seed: number;
  readonly faults: readonly RealFaultKind[];
  readonly interventions: Interventions;
  readonly failures: readonly { readonly seed: number; readonly story: readonly string[] }[];
}

interface WorldPlan {
  /** Histories that one operator plays at a time. More would have it killed so often that none of them gets anything done in between. */
  readonly batch: number;
  /** Batches at a time, each with an operator and a PostgreSQL of its own: half of a batch’s time is waiting. */
  readonly batchesAtOnce: number;
  readonly play: (batch: { index: number } & BatchOptions) => Promise<BatchResult>;
}

// A run of ours has a /16 of loopback addresses, and each batch a /22 of it: no two apps meet.
const network = randomInt(110, 250);

const PLANS: Readonly<Record<RealWorldName, WorldPlan>> = {
  real: {
    batch: 10,
    batchesAtOnce: 3,
    play: ({ index, ...options }) =>
      playBatch({ ...options, openStage: processStage(`127.${network}.${4 * (index % 64)}.0/22`) }),
  },
  host: { batch: 5, batchesAtOnce: 2, play: playOnTestHost },
};

/** Plays all histories and compares each world with its model once it has come to rest. */
export async function playRealWorld(options: RealWorldOptions): Promise<RealWorldResult> {
  const { world, schedules, seed, faults = REAL_FAULT_KINDS, onProgress = () => undefined } = options;
  const { batch, batchesAtOnce, play } = PLANS[world];
  const startedAt = performance.now();
  const seconds = () => Math.round((performance.now() - startedAt) / 1_000);
  const batches = Array.from({ length: Math.ceil(schedules / batch) }, (_, index) =>
    Array.from({ length: Math.min(batch, schedules - index * batch) }, (_, at) => seed + index * batch + at),
  );
  const results: BatchResult[] = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < batches.length; index = next++) {
      const seeds = batches[index] ?? [];
      const result = await play({ index, seeds, faults }).catch((error: unknown) => unplayed(seeds, error));
      results.push(result);
      onProgress(
        `${seconds()} s: seeds ${seeds[0]} to ${seeds.at(-1)}, ${result.failures.length} divergences, ` +
          `at rest after ${result.restMs.map((ms) => (ms / 1_000).toFixed(0)).join(' + ')} s`,
      );
      const [failure] = result.failures;
      if (failure !== undefined) onProgress(beginningOf(failure));
    }
  };
  await Promise.all(Array.from({ length: Math.min(batchesAtOnce, batches.length) }, work));
  const failures = results.flatMap((result) => result.failures).sort((a, b) => a.seed - b.seed);
  const perSecond = Math.round((schedules / (performance.now() - startedAt)) * 100_000) / 100;
  const interventions = results.reduce((sum, result) => added(sum, result.interventions), NO_INTERVENTIONS);
  return { schedules, divergences: failures.length, perSecond, seed, faults, interventions, failures };
}

const STORY_LINES_TOLD = 40;
const STORY_LINE_MAX = 200;

/** Told while the others are still played: who waits for a long run can look at once. */
function beginningOf({ seed, story }: RealWorldResult['failures'][number]): string {
  const lines = story.slice(0, STORY_LINES_TOLD).map((line) => line.slice(0, STORY_LINE_MAX));
  return [`  ${seed}:`, ...lines].join('\n  ');
}

/** An operator that does not come up again, say: as bad as a wrong world, for all of its histories. */
function unplayed(seeds: readonly number[], error: unknown): BatchResult {
  const story = ['could not be played to its end:', ...inspect(error).split('\n')];
  return { failures: seeds.map((seed) => ({ seed, story })), interventions: NO_INTERVENTIONS, restMs: [] };
}

function added(a: Interventions, b: Interventions): Interventions {
  return {
    kill: a.kill + b.kill,
    stop: a.stop + b.stop,
    beside: a.beside + b.beside,
    two: a.two + b.two,
    hostd: a.hostd + b.hostd,
    all: a.all + b.all,
  };
}
