/** One simulated world: GitHub, a host, the state, and the operator processes that come and go. */
import { SWEEP_INTERVAL_MS } from '../../webhook/core/limits.ts';
import type { Policy } from '../../webhook/core/policy.ts';
import { isAllowedRepository } from '../../webhook/core/policy.ts';
import type { RepositoryName, Sha } from '../../webhook/core/pull-request.ts';
import { parsePool, type AddressPool } from '../../webhook/core/slots.ts';
import { jobHandlers } from '../../webhook/jobs/handlers.ts';
import type { JobHandlers } from '../../webhook/ports.ts';
import { Faults, SimulatedProcess, type FaultKind } from './faults.ts';
import { REPOSITORIES, type History, type HistoryEvent } from './history.ts';
import { SeededRandom } from './random.ts';
import { SimulatedGitHub, type SimulatedPull, type SimulatedRepository } from './simulated-github.ts';
import { SimulatedHost } from './simulated-host.ts';
import { simulatedOperator, type Shared } from './simulated-operator.ts';
import { SimulatedState, type SimulatedJob } from './simulated-state.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Jobs that one process runs at a time. */
const CONCURRENCY = 3;
/** Between the death of a process and its jobs being free again: the reaper's second. */
const REAP_MS = 1_000;
const RESTART_MS_MAX = 4_000;

interface Running {
  readonly process: SimulatedProcess;
  readonly handlers: JobHandlers;
  readonly shutdown: AbortController;
  readonly policy: Policy;
  jobs: number;
}

export class World implements Shared {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly faults: Faults;
  readonly github = new SimulatedGitHub();
  readonly host = new SimulatedHost();
  readonly pool: AddressPool;
  readonly state: SimulatedState;
  /** Deliveries that were answered with 202. */
  readonly acknowledged = new Set<string>();
  /** Commits of pull requests that are a stranger's. */
  readonly strangersCommits = new Set<Sha>();
  readonly log: string[] = [];
  allowed = new Set<number>(REPOSITORIES.map((each) => each.id));

  readonly #kinds: ReadonlySet<FaultKind>;
  readonly #running = new Map<number, Running>();
  #processIds = 0;
  #deliveries = 0;
  #isRestartWanted = true;

  constructor(seed: number, kinds: readonly FaultKind[]) {
    // Not the history's own stream: taking an event out while shrinking must not change what goes wrong elsewhere more than it has to.
    this.random = new SeededRandom(seed ^ 0x5eed);
    this.#kinds = new Set(kinds);
    this.faults = new Faults(this.random, this.clock);
    const pool = parsePool('10.100.0.0/24');
    if (pool === null) throw new Error('the pool of the simulation is not a pool');
    this.pool = pool;
    this.state = new SimulatedState(pool, () => this.clock.now());
    this.state.onJobs = () => this.clock.at(1, () => this.#pump());
    this.host.apps = this.github.apps;
    for (const { id, name } of REPOSITORIES) this.github.addRepository(id, name);
    this.faults.onCrash = (process, point) => this.#say(`operator ${process.id} dies at ${point}`);
  }

  get alive(): number {
    return this.#running.size;
  }

  /** The allow-list as it stands, by the names that the operator wrote down. */
  policy(): Policy {
    const names = REPOSITORIES.filter((each) => this.allowed.has(each.id)).map((each) => each.name);
    return { repositories: [...names, 'acme/renamed-1-101', 'acme/renamed-2-102', 'never/matches'], drafts: false };
  }

  /** Plays the history with its faults; afterwards nothing goes wrong any more. */
  async play(history: History): Promise<void> {
    const has = (kind: FaultKind) => this.#kinds.has(kind);
    this.faults.rates = {
      crash: has('crash') ? 0.004 : 0,
      github: has('github') ? 0.06 : 0,
      host: has('host') ? 0.03 : 0,
      state: has('state') ? 0.01 : 0,
    };
    this.startOperator();
    for (const event of history.events) {
      await this.clock.run(event.atMs);
      this.#happen(event);
    }
    await this.clock.run(this.clock.elapsedMs + 3_000);
    this.faults.rates = { crash: 0, github: 0, host: 0, state: 0 };
    if (this.alive === 0) this.startOperator();
  }

  startOperator(): void {
    this.#processIds += 1;
    const process = new SimulatedProcess(this.#processIds, (dead) => this.#onDeath(dead));
    const policy = this.policy();
    const op = simulatedOperator(this, process, policy);
    this.#running.set(process.id, {
      process,
      handlers: jobHandlers(op, { sweepIntervalMs: SWEEP_INTERVAL_MS }),
      shutdown: new AbortController(),
      policy,
      jobs: 0,
    });
    // Start-up sweeps, as main does.
    this.state.addJob('sweep', null, this.clock.now().getTime());
  }

  #onDeath(process: SimulatedProcess): void {
    this.#running.delete(process.id);
    this.state.releaseLocksOf(process.id);
    this.clock.at(REAP_MS, () => this.state.returnJobsOf(process.id, this.clock.now().getTime()));
    if (this.#isRestartWanted)
      this.clock.at(this.random.integer(100, RESTART_MS_MAX), () => this.alive === 0 && this.startOperator());
  }

  #restartAll(): void {
    for (const { process } of this.#running.values()) process.kill();
    this.startOperator();
  }

  // ── Jobs ──

  #pump(): void {
    const nowMs = this.clock.now().getTime();
    for (const running of this.#running.values()) {
      while (running.jobs < CONCURRENCY && !running.shutdown.signal.aborted) {
        const job = this.state.claimJob(running.process.id, nowMs);
        if (job === null) break;
        void this.#work(running, job);
      }
    }
    let next = Infinity;
    for (const job of this.state.jobs.values())
      if (job.lockedBy === null && job.runAtMs > nowMs) next = Math.min(next, job.runAtMs);
    if (next !== Infinity) this.clock.at(next - nowMs, () => this.#pump());
  }

  async #work(running: Running, job: SimulatedJob): Promise<void> {
    running.jobs += 1;
    const { process, handlers, shutdown } = running;
    try {
      if (job.task === 'sweep') await handlers.sweep(shutdown.signal);
      else if (job.key !== null) await handlers[job.task](job.key, shutdown.signal);
      await this.faults.effect(process, 'jobs.finish', () => this.state.finishJob(job));
    } catch {
      // graphile-worker: exp(attempts) seconds.
      if (process.alive)
        this.state.returnJob(job, this.clock.now().getTime() + 1_000 * Math.exp(Math.min(6, job.attempts)));
    } finally {
      running.jobs -= 1;
      if (process.alive) this.clock.at(0, () => this.#pump());
    }
  }

  // ── What happens ──

  #happen(event: HistoryEvent): void {
    switch (event.kind) {
      case 'kill':
      case 'stop': {
        const victim = [...this.#running.values()][0];
        if (event.kind === 'stop') victim?.shutdown.abort();
        this.clock.at(event.kind === 'stop' ? 500 : 0, () => victim?.process.kill());
        return;
      }
      case 'second-operator':
        if (this.alive < 3) this.startOperator();
        return;
      case 'allow':
      case 'disallow':
        if (event.kind === 'allow') this.allowed.add(event.repository);
        else this.allowed.delete(event.repository);
        this.#restartAll();
        return;
      case 'rename':
      case 'transfer': {
        const repository = this.github.repositories.get(event.repository);
        if (repository !== undefined) this.github.rename(repository, event.name);
        return;
      }
      case 'open':
      case 'push':
      case 'close':
      case 'reopen':
      case 'draft':
      case 'ready':
      case 'base':
      case 'fork-deleted':
        this.#happenToPull(event);
    }
  }

  #happenToPull(event: Extract<HistoryEvent, { number: number }>): void {
    const repository = this.github.repositories.get(event.repository);
    if (repository === undefined) return;
    if (event.kind === 'open') {
      if (repository.pulls.has(event.number)) return;
      repository.pulls.set(event.number, openedPull(event, repository));
    }
    const pull = repository.pulls.get(event.number);
    if (pull === undefined) return;
    switch (event.kind) {
      case 'push':
        pull.sha = event.sha as Sha;
        break;
      case 'close':
        pull.state = 'closed';
        break;
      case 'reopen':
        pull.state = 'open';
        break;
      case 'draft':
      case 'ready':
        pull.draft = event.kind === 'draft';
        break;
      case 'fork-deleted':
        pull.headRepositoryId = null;
        break;
      case 'base':
        pull.base = 'next';
        break;
      case 'open':
        break;
    }
    if (event.kind === 'open' || event.kind === 'push') this.github.apps.set(event.sha, event.app);
    if (pull.headRepositoryId !== repository.id || pull.author !== 'member') this.strangersCommits.add(pull.sha);
    this.github.record(repository, pull, this.clock.elapsedMs);
    this.#announce(repository, pull, event.kind === 'close' ? 'closed' : event.kind);
  }

  // ── Deliveries ──

  #announce(repository: SimulatedRepository, pull: SimulatedPull, action: string): void {
    const name = repository.name;
    this.#deliveries += 1;
    const id = `delivery-${this.#deliveries}`;
    const isFaulty = this.#kinds.has('delivery');
    if (isFaulty && this.random.chance(0.2)) return;
    const copies = isFaulty && this.random.chance(0.2) ? this.random.integer(2, 5) : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      // A long delay swaps it with later ones.
      const delayMs = isFaulty && this.random.chance(0.3) ? this.random.integer(0, 8_000) : this.random.integer(1, 50);
      this.clock.at(delayMs, () => void this.#deliver(id, repository.id, pull.number, name, action));
    }
  }

  async #deliver(
    id: string,
    repositoryId: number,
    number: number,
    repository: RepositoryName,
    action: string,
  ): Promise<void> {
    const running = [...this.#running.values()].at(-1);
    if (running === undefined || !isAllowedRepository(running.policy, repository)) return;
    const event = { key: { repositoryId, subject: { kind: 'pull' as const, number } }, repository, action };
    try {
      await this.faults.effect(running.process, 'intake.accept', () => this.state.accept(id, event));
      this.acknowledged.add(id);
    } catch {
      // Answered with 503: GitHub does not deliver again by itself.
    }
  }

  #say(text: string): void {
    this.log.push(`${(this.clock.elapsedMs / 1_000).toFixed(1).padStart(5)} s  ${text}`);
  }
}

function openedPull(event: Extract<HistoryEvent, { kind: 'open' }>, repository: SimulatedRepository): SimulatedPull {
  const headRepositoryId = event.author === 'fork' ? 999 : event.author === 'deleted-fork' ? null : repository.id;
  return {
    number: event.number,
    state: 'open',
    sha: event.sha as Sha,
    ref: `branch-${event.number}`,
    base: 'main',
    headRepositoryId,
    author: event.author === 'dependabot' ? 'dependabot[bot]' : 'member',
    draft: event.draft,
    comments: [],
    statuses: new Map(),
  };
}
