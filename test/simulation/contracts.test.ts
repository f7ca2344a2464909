/** The simulated state is held to the same contracts as PostgreSQL and graphile-worker, so that the two can't drift apart. */
import { jobWorkerContract } from '../contracts/job-worker.contract.ts';
import { previewStoreContract } from '../contracts/preview-store.contract.ts';
import { parsePool, type AddressPool } from '../../webhook/core/slots.ts';
import { Faults, SimulatedProcess } from './faults.ts';
import { OperatorWords } from './operator-words.ts';
import { SeededRandom } from './random.ts';
import { SimulatedGitHub } from './simulated-github.ts';
import { SimulatedHost } from './simulated-host.ts';
import type { Shared } from './shared-world.ts';
import { simulatedOperator } from './simulated-operator.ts';
import { SimulatedState } from './simulated-state.ts';
import { SimulatedWorkers } from './simulated-worker.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Nothing is slow and nothing goes wrong. */
class Calm extends SeededRandom {
  override chance(probability: number): boolean {
    return probability > 0.5;
  }
}

const POLICY = { repositories: ['acme/*'], drafts: true };
const WIDE = parsePool('10.100.0.0/16');

function openShared(pool: AddressPool, now: (clock: VirtualClock) => Date): Shared {
  const clock = new VirtualClock();
  const random = new Calm(1);
  return {
    clock,
    random,
    pool,
    faults: new Faults(random, clock),
    github: new SimulatedGitHub(),
    host: new SimulatedHost(),
    state: new SimulatedState(pool, () => now(clock)),
    knownHeads: new Map(),
    violations: new Set(),
    words: new OperatorWords(),
    redeliver: () => 0,
  };
}

const aProcess = () => new SimulatedProcess(1, () => undefined);

previewStoreContract('the simulated world', async ({ pool }) => {
  // The cases compare with real time.
  const shared = openShared(pool, () => new Date());
  const { store, jobs } = simulatedOperator(
    { ...shared, clock: Object.assign(shared.clock, { now: () => new Date() }) },
    aProcess(),
    POLICY,
  );
  return {
    store,
    jobs,
    waitingJobs: async () =>
      [...shared.state.jobs.values()]
        .filter((job) => job.lockedBy === null && job.jobKey !== null)
        .map((job) => ({ name: job.jobKey ?? '', runAt: new Date(job.runAtMs) }))
        .sort((a, b) => a.name.localeCompare(b.name)),
    async [Symbol.asyncDispose]() {},
  };
});

const UNTIL_MS_MAX = 60_000;

jobWorkerContract('the simulated world', async () => {
  if (WIDE === null) throw new Error('not a pool');
  const shared = openShared(WIDE, (clock) => clock.now());
  const workers = new SimulatedWorkers(shared.clock, shared.faults, shared.state);
  const process = aProcess();
  const { jobs } = simulatedOperator(shared, process, POLICY);
  return {
    jobs,
    now: () => shared.clock.now(),
    async start(handlers, limits) {
      workers.start({ process, handlers, ...limits, shutdown: new AbortController().signal });
    },
    async until(what, isSo) {
      const endMs = shared.clock.elapsedMs + UNTIL_MS_MAX;
      while (!isSo()) {
        if (shared.clock.elapsedMs > endMs)
          throw new Error(`${what}: not within ${UNTIL_MS_MAX / 1_000} s of virtual time`);
        await shared.clock.run(shared.clock.elapsedMs + 10);
      }
    },
    async [Symbol.asyncDispose]() {
      process.kill();
    },
  };
});
