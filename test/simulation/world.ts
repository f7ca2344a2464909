/** One simulated world: GitHub, a host, the state, and the operator processes that come and go. */
import { SWEEP_INTERVAL_MS } from '../../webhook/core/limits.ts';
import type { Policy } from '../../webhook/core/policy.ts';
import { isAllowedRepository } from '../../webhook/core/policy.ts';
import { phaseOf } from '../../webhook/core/preview.ts';
import { keyText, type PullRequestEvent, type Sha } from '../../webhook/core/pull-request.ts';
import { parsePool, type AddressPool } from '../../webhook/core/slots.ts';
import { acceptEvent } from '../../webhook/http/webhook-route.ts';
import { jobHandlers } from '../../webhook/jobs/handlers.ts';
import type { Operator } from '../../webhook/ports.ts';
import { PLANNED_POINTS, Faults, NO_FAULTS, SimulatedProcess, type FaultKind } from './faults.ts';
import { REPOSITORIES, type History, type HistoryEvent } from './history.ts';
import { OperatorWords, type WordKind } from './operator-words.ts';
import { SeededRandom } from './random.ts';
import type { Shared } from './shared-world.ts';
import { SimulatedGitHub, type SimulatedPull, type SimulatedRepository } from './simulated-github.ts';
import { SimulatedHost } from './simulated-host.ts';
import { NO_LOG, simulatedOperator } from './simulated-operator.ts';
import { SimulatedState } from './simulated-state.ts';
import { SimulatedWorkers } from './simulated-worker.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Jobs that one process runs at a time. */
const CONCURRENCY = 3;
/** A delivery that was not answered with 202 is sent again by hand after this long. */
const REDELIVERY_MS = 10_000;
/** Between the death of a process and its jobs being free again: the reaper's second. */
const REAP_MS = 1_000;
const RESTART_MS_MAX = 4_000;

interface Delivery {
  readonly id: string;
  readonly event: PullRequestEvent;
  /** The head of the pull request when GitHub sent it. */
  readonly sha: Sha;
}

type PullEventKind = 'open' | 'push' | 'back' | 'close' | 'reopen' | 'draft' | 'ready' | 'base' | 'fork-deleted';

interface Running {
  readonly process: SimulatedProcess;
  readonly shutdown: AbortController;
  readonly policy: Policy;
  readonly op: Operator;
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
  /** Since when a head commit is known to us, by an acknowledged delivery: elapsed milliseconds. */
  readonly knownHeads = new Map<Sha, number>();
  /** Promises that were broken on the way, whatever the world looks like at the end. */
  readonly violations = new Set<string>();
  readonly words = new OperatorWords();
  readonly log: string[] = [];
  /** What becomes of a delivery that GitHub has just made. Null where it goes its usual way, which may be a bad one. */
  onAnnounce: ((send: () => void) => void) | null = null;
  allowed = new Set<number>(REPOSITORIES.map((each) => each.id));

  readonly #kinds: ReadonlySet<FaultKind>;
  readonly sweeps: boolean;
  readonly #workers: SimulatedWorkers;
  readonly #running = new Map<number, Running>();
  #processIds = 0;
  #deliveries = 0;
  #isRestartWanted = true;
  /** Deliveries that GitHub could not bring to us, and was not yet asked for again. */
  #failed: Delivery[] = [];

  constructor({ seed, faults: kinds, sweeps }: Pick<History, 'seed' | 'faults' | 'sweeps'>) {
    // Not the history's own stream: taking an event out while shrinking must not change what goes wrong elsewhere more than it has to.
    this.random = new SeededRandom(seed ^ 0x5eed);
    this.#kinds = new Set(kinds);
    this.sweeps = sweeps;
    this.faults = new Faults(this.random, this.clock);
    const pool = parsePool('10.100.0.0/24');
    if (pool === null) throw new Error('the pool of the simulation is not a pool');
    this.pool = pool;
    this.state = new SimulatedState(pool, () => this.clock.now());
    this.#workers = new SimulatedWorkers(this.clock, this.faults, this.state);
    this.host.apps = this.github.apps;
    for (const { id, name } of REPOSITORIES) this.github.addRepository(id, name);
    this.state.onHold = (key, hold) =>
      this.words.stored(key, hold, {
        atMs: this.clock.elapsedMs,
        pull: this.github.pullOf(key),
        oldNews: this.#kinds.has('stale'),
      });
    this.state.onForget = (key) => this.words.forgotten(key);
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
      stale: has('stale') && this.sweeps ? 0.06 : 0,
      host: has('host') ? 0.03 : 0,
      state: has('state') ? 0.01 : 0,
    };
    const { github, stale, state } = this.faults.rates;
    this.faults.isWell = github + stale + state === 0;
    this.faults.planned = {
      point: PLANNED_POINTS[history.seed % PLANNED_POINTS.length] ?? '',
      times: this.random.chance(0.7) ? 1 : this.random.integer(2, 4),
    };
    this.startOperator();
    for (const event of history.events) {
      await this.clock.run(event.atMs);
      this.happen(event);
    }
    await this.clock.run(this.clock.elapsedMs + 3_000);
    this.faults.rates = NO_FAULTS;
    if (this.alive === 0) this.startOperator();
  }

  /**
   * What people would call the state of the world: without what only tells in which order things were made (numbers, and which of two
   * previews of one name got the plain one).
   */
  summary(): unknown {
    const previews = [...this.state.previews.values()].map((record) => {
      const { name } = phaseOf(record);
      const instances = record.instances.map((each) => [
        each.revision.sha,
        this.host.instances.get(each.name)?.running === true,
      ]);
      const answering = record.instances.find((each) => each.name === record.answering)?.revision.sha ?? null;
      const running = instances.filter(([, isRunning]) => isRunning).map(([sha]) => sha);
      return {
        key: keyText(record.key),
        phase: name,
        answering,
        running,
        failure: record.failure?.code ?? null,
      };
    });
    const comments = [...this.github.repositories.values()].flatMap((repository) =>
      [...repository.pulls.values()].map((pull) => [repository.id, pull.number, pull.comments.length]),
    );
    return { previews: previews.sort((a, b) => a.key.localeCompare(b.key)), comments };
  }

  startOperator(): void {
    this.#processIds += 1;
    const process = new SimulatedProcess(this.#processIds, (dead) => this.#onDeath(dead));
    const policy = this.policy();
    const op = simulatedOperator(this, process, policy);
    const shutdown = new AbortController();
    this.#running.set(process.id, { process, shutdown, policy, op });
    const handlers = jobHandlers(op, { sweepIntervalMs: SWEEP_INTERVAL_MS });
    this.#workers.start({ process, handlers, shutdown: shutdown.signal, concurrency: CONCURRENCY });
    // Start-up sweeps, as main does.
    if (this.sweeps) this.state.addJob('sweep', null, this.clock.now().getTime());
  }

  #onDeath(process: SimulatedProcess): void {
    this.#running.delete(process.id);
    this.state.releaseLocksOf(process.id);
    this.clock.at(REAP_MS, () => this.state.returnJobsOf(process.id));
    if (this.#isRestartWanted)
      this.clock.at(this.random.integer(100, RESTART_MS_MAX), () => this.alive === 0 && this.startOperator());
  }

  #restartAll(): void {
    for (const { process } of this.#running.values()) process.kill();
    this.startOperator();
  }

  // ── What happens ──

  /** Something happens on GitHub or to an operator, now. */
  happen(event: HistoryEvent): void {
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
        this.#mayBeGone(event.repository);
        if (event.kind === 'allow') this.allowed.add(event.repository);
        else this.allowed.delete(event.repository);
        this.#restartAll();
        return;
      case 'rename':
      case 'transfer': {
        const repository = this.github.repositories.get(event.repository);
        this.#mayBeGone(event.repository);
        if (repository !== undefined) this.github.rename(repository, event.name);
        return;
      }
      case 'comment-edited':
      case 'comment-deleted':
        this.#happenToComment(event);
        return;
      case 'destroy':
      case 'rollback':
      case 'update':
        this.#speak(event);
        return;
      case 'open':
      case 'push':
      case 'back':
      case 'close':
      case 'reopen':
      case 'draft':
      case 'ready':
      case 'base':
      case 'fork-deleted':
        this.#happenToPull(event);
    }
  }

  /** From here on there is a reason for the previews of this repository to go, for a while at least. */
  #mayBeGone(repositoryId: number): void {
    for (const pull of this.github.repositories.get(repositoryId)?.pulls.values() ?? []) pull.wasAbsent = true;
  }

  /** Where there is a preview: a comment that was the last word on one that is gone, nobody looks at any more. */
  #happenToComment(event: { kind: 'comment-edited' | 'comment-deleted'; repository: number; number: number }): void {
    const { repository: repositoryId, number } = event;
    const pull = this.github.repositories.get(repositoryId)?.pulls.get(number);
    const comment = pull?.comments[0];
    const isOfAPreview = this.state.previews.has(keyText({ repositoryId, subject: { kind: 'pull', number } }));
    if (pull === undefined || comment === undefined || !isOfAPreview) return;
    const text = 'Somebody wrote something else here.';
    if (event.kind === 'comment-edited') this.github.editComment(pull, comment.id, text, this.clock.now());
    else pull.comments.length = 0;
  }

  #speak({ kind, repository, number }: { kind: WordKind; repository: number; number: number }): void {
    const key = keyText({ repositoryId: repository, subject: { kind: 'pull', number } });
    const slug = this.state.previews.get(key)?.slug;
    const op = [...this.#running.values()].at(-1)?.op;
    if (op !== undefined && slug != null) void this.words.speak(op, kind, slug);
  }

  #happenToPull(event: Extract<HistoryEvent, { number: number; kind: PullEventKind }>): void {
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
        this.github.push(pull, event.sha as Sha);
        break;
      case 'back':
        if (!this.github.pushBack(pull)) return;
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
    if (event.kind === 'push' || event.kind === 'back') {
      // It may have been the head before.
      this.knownHeads.delete(pull.sha);
      this.words.headMoved({ repositoryId: repository.id, subject: { kind: 'pull', number: pull.number } });
    }
    if (pull.headRepositoryId !== repository.id || pull.author !== 'member') this.strangersCommits.add(pull.sha);
    if (pull.state === 'closed' || pull.draft || this.strangersCommits.has(pull.sha)) pull.wasAbsent = true;
    this.github.record(repository, pull, this.clock.elapsedMs);
    this.#announce(repository, pull, event.kind === 'close' ? 'closed' : event.kind);
  }

  // ── Deliveries ──

  #announce(repository: SimulatedRepository, pull: SimulatedPull, action: string): void {
    this.#deliveries += 1;
    const delivery: Delivery = {
      id: `delivery-${this.#deliveries}`,
      event: {
        key: { repositoryId: repository.id, subject: { kind: 'pull', number: pull.number } },
        repository: repository.name,
        action,
      },
      sha: pull.sha,
    };
    if (this.onAnnounce !== null) return this.onAnnounce(() => this.#send(delivery));
    const isFaulty = this.#kinds.has('delivery');
    if (isFaulty && this.sweeps && this.random.chance(0.2)) {
      // Half of them GitHub does not even list.
      if (this.random.chance(0.5)) this.#failed.push(delivery);
      return;
    }
    const copies = isFaulty && this.random.chance(0.2) ? this.random.integer(2, 5) : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      // A long delay swaps it with later ones.
      const delayMs = isFaulty && this.random.chance(0.3) ? this.random.integer(0, 8_000) : this.random.integer(1, 50);
      this.clock.at(delayMs, () => this.#send(delivery));
    }
  }

  /** GitHub does not deliver again by itself; where no sweep would repair that, somebody presses the button. */
  #send(delivery: Delivery): void {
    if (!this.sweeps) {
      this.clock.at(REDELIVERY_MS, () => {
        if (!this.acknowledged.has(delivery.id)) this.#send(delivery);
      });
    }
    void this.#deliver(delivery);
  }

  async #deliver({ id, event, sha }: Delivery): Promise<void> {
    const running = [...this.#running.values()].at(-1);
    if (running === undefined) this.#failed.push({ id, event, sha });
    if (running === undefined || !isAllowedRepository(running.policy, event.repository)) return;
    const { process } = running;
    const intake = {
      accept: (deliveryId: string, accepted: PullRequestEvent) =>
        this.faults.effect(process, 'intake.accept', () => this.state.accept(deliveryId, accepted)),
    };
    try {
      await acceptEvent({ intake, log: NO_LOG }, { kind: 'event', deliveryId: id, event });
    } catch {
      // Answered with 503.
      this.#failed.push({ id, event, sha });
      return;
    }
    this.acknowledged.add(id);
    if (!this.knownHeads.has(sha)) this.knownHeads.set(sha, this.clock.elapsedMs);
  }

  readonly redeliver = (): number => {
    const failed = this.#failed;
    this.#failed = [];
    for (const delivery of failed) this.clock.at(1, () => this.#send(delivery));
    return failed.length;
  };

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
    wasAbsent: false,
    comments: [],
    statuses: new Map(),
    lastStatus: null,
  };
}
