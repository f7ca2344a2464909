/**
 * The store, the intake and the queue in memory, with the semantics of PostgreSQL and graphile-worker that matter: each method is one
 * transaction, locks die with the process that held them, and a job of a dead process is given back after about a second.
 * test/contracts runs the same cases against this and against the real adapters.
 */
import { OperatorError } from '../../webhook/core/errors.ts';
import {
  instanceNameOf,
  parseInstanceName,
  slotOf,
  type HostLabel,
  type InstanceName,
  type Slug,
} from '../../webhook/core/names.ts';
import type { Hold, InstanceFacts, InstanceRecord, PreviewRecord } from '../../webhook/core/preview.ts';
import {
  keyText,
  type PreviewKey,
  type PullRequestEvent,
  type RepositoryName,
  type Revision,
} from '../../webhook/core/pull-request.ts';
import type { ReportRecord } from '../../webhook/core/report-record.ts';
import { nextSlot, type AddressPool } from '../../webhook/core/slots.ts';
import type { Acceptance, PreviewLock } from '../../webhook/ports.ts';

/** One row of the queue. `revision` is bumped when a waiting job is asked for again. */
export interface SimulatedJob {
  readonly id: number;
  readonly task: 'reconcile' | 'report' | 'sweep';
  readonly key: PreviewKey | null;
  /** Null once a newer job of the same key was added while this one ran. */
  jobKey: string | null;
  runAtMs: number;
  attempts: number;
  /** The process that works on it. */
  lockedBy: number | null;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Row = Mutable<PreviewRecord>;

export class SimulatedState {
  readonly previews = new Map<string, Row>();
  readonly hosts = new Map<string, string>();
  readonly reports = new Map<string, ReportRecord>();
  readonly deliveries = new Set<string>();
  readonly jobs = new Map<number, SimulatedJob>();
  /** Preview → the lock that is in force, and the process that holds it. */
  readonly locks = new Map<string, { readonly lock: PreviewLock; readonly process: number }>();
  /** Names that are held for the removal of what nobody has, each with the process that holds it. */
  readonly heldNames = new Map<string, { readonly process: number; readonly released: PromiseWithResolvers<void> }>();
  /** Called after each change of the queue. */
  onJobs: () => void = () => undefined;
  /** Told of each operator's word that is stored, and of each record that goes. */
  onHold: (key: PreviewKey, hold: Hold | null) => void = () => undefined;
  onForget: (key: PreviewKey) => void = () => undefined;

  readonly #pool: AddressPool;
  readonly #nowMs: () => Date;
  #slotCounter = 1;
  #ids = 0;

  constructor(pool: AddressPool, now: () => Date) {
    this.#pool = pool;
    this.#nowMs = now;
  }

  // Intake

  accept(deliveryId: string, event: PullRequestEvent): Acceptance {
    if (this.deliveries.has(deliveryId)) return 'duplicate';
    this.deliveries.add(deliveryId);
    if (event.action !== 'closed' || this.previews.has(keyText(event.key)))
      this.request(event.key, event.repository, {});
    return 'accepted';
  }

  // Previews

  request(key: PreviewKey, repository: RepositoryName, options: { retry?: boolean; hold?: Hold | null }): void {
    const text = keyText(key);
    const now = this.#nowMs();
    const row = this.previews.get(text) ?? this.#newRow(key, repository, now);
    row.generation += 1;
    row.requestedAt = now;
    row.repository = repository;
    if (options.retry === true) row.retryAskedAt = now;
    if (options.hold !== undefined) row.hold = options.hold;
    this.previews.set(text, row);
    if (options.hold !== undefined) this.onHold(key, options.hold);
    this.addJob('reconcile', key, now.getTime());
  }

  #newRow(key: PreviewKey, repository: RepositoryName, now: Date): Row {
    return {
      id: (this.#ids += 1),
      key,
      repository,
      generation: 0,
      concludedGeneration: 0,
      createdAt: now,
      requestedAt: now,
      slug: null,
      wanted: null,
      hold: null,
      retryAskedAt: null,
      database: null,
      instances: [],
      answering: null,
      failure: null,
      doing: null,
    };
  }

  row(key: PreviewKey): Row {
    const row = this.previews.get(keyText(key));
    if (row === undefined) throw new OperatorError('INTERNAL', 'There is no such record.');
    return row;
  }

  /** Null when it is held already. */
  lockName(name: string, process: number): AsyncDisposable | null {
    if (this.heldNames.has(name)) return null;
    const held = { process, released: Promise.withResolvers<void>() };
    this.heldNames.set(name, held);
    return {
      [Symbol.asyncDispose]: async () => {
        if (this.heldNames.get(name) === held) this.#releaseName(name);
      },
    };
  }

  #releaseName(name: string): void {
    const held = this.heldNames.get(name);
    this.heldNames.delete(name);
    held?.released.resolve();
  }

  /** Resolves when nobody holds the first free one, at once for who has a name. */
  async untilNameIsFree(key: PreviewKey, candidates: readonly Slug[]): Promise<void> {
    while (this.row(key).slug === null) {
      const held = this.heldNames.get(candidates.find((candidate) => !this.hosts.has(candidate)) ?? '');
      if (held === undefined) return;
      await held.released.promise;
    }
  }

  claimSlug(key: PreviewKey, candidates: readonly Slug[]): Slug {
    const row = this.row(key);
    if (row.slug !== null) return row.slug;
    const slug = candidates.find((candidate) => !this.hosts.has(candidate));
    if (slug === undefined) throw new OperatorError('SLUG_UNAVAILABLE', 'No free name.');
    this.hosts.set(slug, keyText(key));
    row.slug = slug;
    return slug;
  }

  claimHosts(key: PreviewKey, labels: readonly HostLabel[]): void {
    const text = keyText(key);
    const taken = labels.find((label) => (this.hosts.get(label) ?? text) !== text);
    if (taken !== undefined) throw new OperatorError('HOST_NAME_TAKEN', `The host name ${taken} is taken.`);
    const wanted = new Set<string>([...labels, ...(this.row(key).slug === null ? [] : [String(this.row(key).slug)])]);
    for (const [label, owner] of this.hosts) if (owner === text && !wanted.has(label)) this.hosts.delete(label);
    for (const label of wanted) this.hosts.set(label, text);
  }

  createInstance(key: PreviewKey, revision: Revision): InstanceRecord {
    const row = this.row(key);
    const names = [...this.previews.values()].flatMap((each) => each.instances.map((instance) => instance.name));
    const inUse = new Set(
      [...names, ...this.heldNames.keys()]
        .map((name) => parseInstanceName(name))
        .flatMap((name) => (name === null ? [] : slotOf(name))),
    );
    const { slot, counter } = nextSlot(this.#pool, this.#slotCounter, inUse);
    this.#slotCounter = counter;
    const instance: InstanceRecord = {
      id: (this.#ids += 1),
      name: instanceNameOf(slot),
      slot,
      revision,
      createdAt: this.#nowMs(),
      generation: row.generation,
      manifest: null,
      assumptions: [],
      system: null,
      isSystemCached: null,
      sourcePlacedAt: null,
      setUpAt: null,
      upstreams: null,
      healthyAt: null,
      routedAt: null,
      retiredAt: null,
      failedAt: null,
      discardedAt: null,
      timings: {},
    };
    row.instances = [...row.instances, instance];
    return instance;
  }

  saveInstance(key: PreviewKey, name: InstanceName, facts: InstanceFacts): void {
    const row = this.row(key);
    row.instances = row.instances.map((instance) => {
      if (instance.name !== name) return instance;
      return { ...instance, ...facts, timings: { ...instance.timings, ...facts.timings } };
    });
  }

  saveSwitch(key: PreviewKey, name: InstanceName, at: Date): void {
    const row = this.row(key);
    const before = row.answering;
    if (before === name) return;
    row.answering = name;
    row.instances = row.instances.map((instance) => {
      if (instance.name === name) return { ...instance, routedAt: at, retiredAt: null };
      return instance.name === before ? { ...instance, retiredAt: at } : instance;
    });
  }

  removeInstance(key: PreviewKey, name: InstanceName): void {
    const row = this.row(key);
    row.instances = row.instances.filter((instance) => instance.name !== name);
    if (row.answering === name) row.answering = null;
  }

  forget(key: PreviewKey, generation: number): boolean {
    const text = keyText(key);
    const row = this.previews.get(text);
    if (row === undefined) return true;
    if (row.generation !== generation) return false;
    this.previews.delete(text);
    this.onForget(key);
    for (const [label, owner] of this.hosts) if (owner === text) this.hosts.delete(label);
    return true;
  }

  saveReport(report: ReportRecord): void {
    const text = keyText(report.key);
    this.reports.set(text, { ...report, lookAskedAt: this.reports.get(text)?.lookAskedAt ?? null });
  }

  askForCommentLooks(max: number): void {
    const waiting = [...this.reports]
      .filter(([key, report]) => report.commentId !== null && this.previews.has(key))
      .sort(([, a], [, b]) => (a.lookAskedAt?.getTime() ?? 0) - (b.lookAskedAt?.getTime() ?? 0));
    for (const [key, report] of waiting.slice(0, max)) this.reports.set(key, { ...report, lookAskedAt: this.#nowMs() });
  }

  // Queue

  /** As berth.ask_for_jobs: a waiting job takes place no later than anyone asked, beside a running one a follow-up is put. */
  addJob(task: SimulatedJob['task'], key: PreviewKey | null, runAtMs: number): void {
    const jobKey = `${task}:${key === null ? '' : keyText(key)}`;
    const existing = [...this.jobs.values()].find((job) => job.jobKey === jobKey);
    if (existing !== undefined && existing.lockedBy === null) {
      existing.runAtMs = Math.min(existing.runAtMs, runAtMs);
    } else {
      if (existing !== undefined) existing.jobKey = null;
      this.#ids += 1;
      this.jobs.set(this.#ids, { id: this.#ids, task, key, jobKey, runAtMs, attempts: 0, lockedBy: null });
    }
    this.onJobs();
  }

  /** The next job that may run now: oldest first, one at a time per preview and kind. */
  claimJob(process: number, nowMs: number): SimulatedJob | null {
    const busy = new Set([...this.jobs.values()].filter((job) => job.lockedBy !== null).map(queueOf));
    let best: SimulatedJob | null = null;
    for (const job of this.jobs.values()) {
      if (job.lockedBy !== null || job.runAtMs > nowMs || busy.has(queueOf(job))) continue;
      if (best === null || job.runAtMs < best.runAtMs) best = job;
    }
    if (best !== null) {
      best.lockedBy = process;
      best.attempts += 1;
    }
    return best;
  }

  /** When the next waiting job becomes due; null when none does. */
  nextDueMs(nowMs: number): number | null {
    let next: number | null = null;
    for (const job of this.jobs.values()) {
      if (job.lockedBy === null && job.runAtMs > nowMs) next = Math.min(next ?? Infinity, job.runAtMs);
    }
    return next;
  }

  finishJob(job: SimulatedJob): void {
    this.jobs.delete(job.id);
    this.onJobs();
  }

  /** The handler threw: the job is asked for again, later, and this one is over. */
  askAgain(job: SimulatedJob, runAtMs: number): void {
    this.jobs.delete(job.id);
    this.addJob(job.task, job.key, runAtMs);
  }

  /** What the liveness reaper does for a process whose advisory lock is gone. */
  releaseLocksOf(process: number): void {
    for (const [key, held] of this.locks) if (held.process === process) this.locks.delete(key);
    for (const [name, held] of this.heldNames) if (held.process === process) this.#releaseName(name);
  }

  /** Jobs of a dead process are free again. One that a follow-up has replaced is not done twice. */
  returnJobsOf(process: number): void {
    for (const job of this.jobs.values()) {
      if (job.lockedBy !== process) continue;
      if (job.jobKey === null) this.jobs.delete(job.id);
      else job.lockedBy = null;
    }
    this.onJobs();
  }
}

function queueOf(job: SimulatedJob): string {
  return `${job.task}:${job.key === null ? '' : keyText(job.key)}`;
}
