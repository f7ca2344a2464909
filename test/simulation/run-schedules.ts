/** Many schedules, over the machine's cores, and what came of them. */
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { CRASH_POINTS_TOTAL, type FaultKind } from './faults.ts';
import { randomHistory, storyOf, type History } from './history.ts';
import { SeededRandom } from './random.ts';
import { runSchedule, shrink } from './schedule.ts';

export interface SimulationOptions {
  readonly schedules: number;
  /** Schedule number n has the seed `seed + n`. */
  readonly seed: number;
  readonly faults: readonly FaultKind[];
  /** Stop at the first divergence. */
  readonly failFast?: boolean;
  /** Shrinking takes a few hundred runs of a failing schedule. */
  readonly shrinkFailures?: boolean;
}

export interface SimulationFailure {
  readonly seed: number;
  readonly divergences: readonly string[];
  /** The shortest history found that still goes wrong, as a person reads it. */
  readonly story: readonly string[];
  /** The same as data: to be kept in test/scenarios/. */
  readonly history: History;
}

export interface SimulationResult {
  readonly schedules: number;
  readonly divergences: number;
  readonly perSecond: number;
  readonly seed: number;
  readonly faults: readonly FaultKind[];
  readonly crashPoints: { readonly covered: number; readonly total: number };
  readonly failures: readonly SimulationFailure[];
}

interface Share extends SimulationOptions {
  readonly offset: number;
  readonly stride: number;
}

interface ShareResult {
  readonly schedules: number;
  readonly divergences: number;
  readonly covered: string[];
  readonly failures: SimulationFailure[];
}

/** Failures beyond these are counted but not shrunk and not told: the first ones have to be understood first. */
const FAILURES_TOLD = 5;

/** Runs the schedules on all cores. The same options give the same result, but for `perSecond`. */
export async function runSchedules(options: SimulationOptions): Promise<SimulationResult> {
  const startedAt = performance.now();
  const stride = Math.max(1, Math.min(availableParallelism(), Math.ceil(options.schedules / 50)));
  const shares = await Promise.all(
    Array.from({ length: stride }, (_, offset) => runInWorker({ ...options, offset, stride })),
  );
  const schedules = shares.reduce((sum, share) => sum + share.schedules, 0);
  return {
    schedules,
    divergences: shares.reduce((sum, share) => sum + share.divergences, 0),
    perSecond: Math.round((schedules / (performance.now() - startedAt)) * 10_000) / 10,
    seed: options.seed,
    faults: options.faults,
    crashPoints: { covered: new Set(shares.flatMap((share) => share.covered)).size, total: CRASH_POINTS_TOTAL },
    failures: shares.flatMap((share) => share.failures).sort((a, b) => a.seed - b.seed),
  };
}

function runInWorker(share: Share): Promise<ShareResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ShareResult>();
  const worker = new Worker(new URL(import.meta.url), { workerData: share });
  worker.once('message', resolve);
  worker.once('error', reject);
  return promise;
}

async function runShare(share: Share): Promise<ShareResult> {
  const covered = new Set<string>();
  const failures: SimulationFailure[] = [];
  let schedules = 0;
  let divergences = 0;
  for (let index = share.offset; index < share.schedules; index += share.stride) {
    const seed = share.seed + index;
    const history = randomHistory(seed, someOf(share.faults, seed));
    const result = await runSchedule(history);
    schedules += 1;
    for (const point of result.covered) covered.add(point);
    if (result.divergences.length === 0) continue;
    divergences += 1;
    if (failures.length < FAILURES_TOLD) failures.push(await failureOf(history, share.shrinkFailures ?? true));
    if (share.failFast === true) break;
  }
  return { schedules, divergences, covered: [...covered], failures };
}

/**
 * Each schedule has most of the kinds of faults: a kind that is always there would hide what only shows without it. In a third of them GitHub and the
 * state are well, because some promises can only be kept then (who cannot ask cannot know that a commit was overtaken).
 */
function someOf(kinds: readonly FaultKind[], seed: number): FaultKind[] {
  const random = new SeededRandom(~seed);
  const unwell: readonly FaultKind[] = random.chance(1 / 3) ? ['github', 'stale', 'state'] : [];
  return kinds.filter((kind) => !unwell.includes(kind) && random.chance(0.75));
}

async function failureOf(history: History, isShrunk: boolean): Promise<SimulationFailure> {
  const shortest = isShrunk ? await shrink(history) : history;
  const { divergences, log } = await runSchedule(shortest);
  return {
    seed: history.seed,
    divergences,
    story: [...storyOf(shortest), ...log, ...divergences.map((text) => `=> ${text}`)],
    history: shortest,
  };
}

if (!isMainThread && isShare(workerData)) parentPort?.postMessage(await runShare(workerData));

function isShare(data: unknown): data is Share {
  return typeof data === 'object' && data !== null && 'stride' in data;
}
