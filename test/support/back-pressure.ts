/** Too much at once, through the real door: a hundred pushes to one pull request, hundreds of pull requests at the same moment (promise R12). */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { aBuildCounter } from './a-build-counter.ts';
import { appFiles, type RealService } from './a-real-service.ts';
import type { FakePullRequest } from './fake-github/pull-request.ts';
import type { FakeRepository } from './fake-github/repository.ts';

const PUSHES = 100;
const PUSHES_MS = 10_000;

export interface Pushes {
  readonly pushes: number;
  readonly tookMs: number;
  readonly builds: number;
}

/** How many builds a hundred pushes in ten seconds are. The last one is live when it resolves. */
export async function pushAHundredTimes(service: RealService): Promise<Pushes> {
  await using counter = await aBuildCounter();
  const pull = await service.open('busy', { ...appFiles('hello-node'), ...counter.files() });
  await service.shows(pull, pull.head);
  const before = counter.begun.length;
  const commits: string[] = [];
  for (let at = 0; at < PUSHES; at += 1)
    commits.push(await pull.base.commit('feature', { 'message.txt': `Push ${at}` }));
  const startedAt = performance.now();
  for (const [at, sha] of commits.entries()) {
    await delay(Math.max(0, startedAt + (at * PUSHES_MS) / PUSHES - performance.now()));
    await pull.headMoved(sha);
  }
  const tookMs = performance.now() - startedAt;
  await service.shows(pull, pull.head);
  await service.says(pull, 'is live', pull.head);
  return { pushes: PUSHES, tookMs, builds: counter.begun.length - before };
}

export interface Crowd {
  readonly pulls: number;
  /** Those of the large repository. */
  readonly large: number;
  readonly builds: number;
  /** The most builds that ever ran at the same time. */
  readonly most: number;
  /** Builds of the large repository that had begun when the last delivery was answered. */
  readonly aheadOfAll: number;
  /** The place in the order of all builds that the last one of the small repositories had. */
  readonly lastOfSmall: number;
  /** The operator's largest resident memory ever, in MiB; null where the system does not tell. */
  readonly memoryPeakMiB: number | null;
  readonly tookMs: number;
}

/**
 * Pull requests of one large repository whose setup fails, all delivered in one go, and behind them those of two small ones, which go live. Resolves
 * when each has been worked off and says so.
 */
export async function openAtOnce(service: RealService, size: { large: number; small: number }): Promise<Crowd> {
  await using counter = await aBuildCounter();
  const large = await service.repository('large', {});
  const smalls = [await service.repository('small-1', {}), await service.repository('small-2', {})];
  service.github.deliveries.passage = () => 'hold';
  const failing = { ...appFiles('hello-node'), ...counter.files({ ms: 100, status: 3 }) };
  const working = { ...appFiles('hello-node'), ...counter.files({ ms: 100 }) };
  const flood = await openAll(large, size.large, failing);
  const calm = (await Promise.all(smalls.map((each) => openAll(each, size.small, working)))).flat();
  service.github.deliveries.passage = () => 'deliver';

  const startedAt = performance.now();
  await service.github.deliveries.release();
  const aheadOfAll = counter.begun.length;
  for (const pull of calm) await service.says(pull, 'is live', pull.head);
  for (const pull of flood) await service.says(pull, 'SETUP_FAILED', pull.head);
  const { begun, most } = counter;
  return {
    pulls: flood.length + calm.length,
    large: flood.length,
    builds: begun.length,
    most,
    aheadOfAll,
    lastOfSmall: begun.findLastIndex((branch) => branch.startsWith('small')) + 1,
    memoryPeakMiB: await memoryPeakMiB(service.operator.pid),
    tookMs: performance.now() - startedAt,
  };
}

async function openAll(
  repository: FakeRepository,
  count: number,
  files: Record<string, string>,
): Promise<FakePullRequest[]> {
  const pulls: FakePullRequest[] = [];
  for (let at = 1; at <= count; at += 1) {
    const head = `${repository.name}-${at}`;
    await repository.commit(head, { ...files, 'message.txt': head });
    pulls.push(await repository.openPullRequest({ head }));
  }
  return pulls;
}

/** VmHWM of proc(5): the peak resident set size, in KiB. */
async function memoryPeakMiB(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const peakKiB = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return peakKiB === undefined ? null : Math.round(Number(peakKiB) / 1024);
}
