/**
 * The ports: everything the service needs of the outside world, in our own words (docs/glossary.md). The reconciler, the jobs and the HTTP layer know only
 * these; adapters implement them; wiring.ts joins the two. Verbs: `observe` and `list` read and never change; `ensure` converges and may be repeated for ever;
 * `remove` too, and absence is success. All throw OperatorError, and every long one takes an AbortSignal and leaves nothing running when it fires.
 */
import type { AppManifest } from './core/app-manifest.ts';
import type {
  BuiltSystem,
  Failure,
  Hold,
  InstanceFacts,
  InstanceRecord,
  PreviewDatabase,
  PreviewRecord,
  StepName,
  Upstream,
  Upstreams,
  Wanted,
} from './core/preview.ts';
import type { DatabaseName, HostLabel, InstanceName, Slug, TemplateName } from './core/names.ts';
import type {
  IncomingDelivery,
  ObservedSubject,
  OpenPullRequest,
  PreviewKey,
  PullRequestEvent,
  RepositoryName,
  Revision,
} from './core/pull-request.ts';
import type { Policy } from './core/policy.ts';
import type { CommandInside, CommandStreams, DiskRoom } from './core/host-verbs.ts';
import type { DatabaseSeed } from './core/database-seed.ts';
import type { PreviewMeta } from './core/preview-config.ts';
import type { PreviewRoute, RouteDefect } from './core/preview-route.ts';
import type { ReportRecord } from './core/report-record.ts';
import type { Report } from './core/report.ts';
import type { SlotAddresses } from './core/slots.ts';

export interface Clock {
  now(): Date;
  /** Resolves after the time, rejects with the signal's reason when it fires first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

// ── GitHub ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface WebhookSource {
  /** Verifies the signature over the raw bytes first, then parses. Never throws on any input. */
  read(headers: Readonly<Record<string, string | string[] | undefined>>, rawBody: Buffer): IncomingDelivery;
}

export interface PullRequests {
  /** The state right now. Throws GITHUB_UNREACHABLE, GITHUB_RATE_LIMITED, GITHUB_FORBIDDEN; 404 is `{state: 'missing'}`. */
  observe(key: PreviewKey, repository: RepositoryName, signal: AbortSignal): Promise<ObservedSubject>;
  /** All open pull requests of a repository. */
  listOpen(repository: RepositoryName, signal: AbortSignal): Promise<OpenPullRequest[]>;
  /** Repositories of an owner that we may see and that have something open, the most recently pushed ones first; at most 1,000. */
  listRepositories(owner: string, signal: AbortSignal): Promise<RepositoryName[]>;
  /** For the command line: the open pull request of a branch (null: the default one), or else the branch itself. Null when there is no such branch. */
  find(repository: RepositoryName, branch: string | null, signal: AbortSignal): Promise<PreviewKey | null>;
}

export interface Reports {
  /**
   * Makes comment and commit status say this. Creates at most one comment per pull request, also when an earlier try was cut off
   * before its id was stored, and none unless the report says `mayCreate`. What was written last is believed to be there still, unless a
   * look is due (`isLookDue`). Returns what is to be stored; without a `commentHash` where our comment is gone: once that is stored, it is
   * called again to make another. Throws the GITHUB_* errors.
   */
  ensure(before: ReportRecord, report: Report, signal: AbortSignal): Promise<ReportRecord>;
}

export interface Redeliveries {
  /**
   * Asks GitHub to send again, once each, the deliveries of our webhook since then that it could not bring to us. Returns how many were
   * asked for. Having no right to do so is normal and not an error. Throws the GITHUB_* errors.
   */
  request(repositories: ReadonlySet<RepositoryName>, since: Date, signal: AbortSignal): Promise<number>;
}

// ── State ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Acceptance = 'accepted' | 'duplicate';

export interface Intake {
  /** Delivery, wanted look and job, committed together before it resolves; those that wait together share the commit. Throws STATE_UNAVAILABLE. */
  accept(deliveryId: string, event: PullRequestEvent): Promise<Acceptance>;
  /** If the comment is ours, a look at it and a report are asked for, committed before it resolves. Says whether it is. Throws STATE_UNAVAILABLE. */
  doubtComment(key: PreviewKey, commentId: number): Promise<boolean>;
}

/** The right to work on one preview: held by one job at a time, over all operators. Disposed when the work ends. */
export interface PreviewLock extends AsyncDisposable {
  readonly key: PreviewKey;
}

/** Facts of previews. Everything that changes a preview takes the proof that its lock is held. */
export interface PreviewStore {
  /** Null when another job holds it. */
  lock(key: PreviewKey): Promise<PreviewLock | null>;
  load(key: PreviewKey): Promise<PreviewRecord | null>;
  loadBySlug(slug: Slug): Promise<PreviewRecord | null>;
  /** All previews, oldest first. */
  list(): Promise<PreviewRecord[]>;
  /** The generation alone; 0 when there is no record. Cheap: one primary-key read. */
  generation(key: PreviewKey): Promise<number>;

  /**
   * A reason to look, and a job for it, in one transaction. Creates the record when there is none. With `retry`, what failed is tried
   * again; with `hold`, the operator's word is stored (null lifts it).
   */
  request(
    key: PreviewKey,
    repository: RepositoryName,
    options?: { retry?: boolean; hold?: Hold | null },
  ): Promise<void>;

  /** Lifts this hold. Another one that an operator placed meanwhile stays. */
  liftHold(lock: PreviewLock, hold: Hold): Promise<void>;
  /** For work on what nobody has: while it is held, who claims the slug waits, and no instance gets the name. Null when it is held already. */
  lockName(name: Slug | InstanceName): Promise<AsyncDisposable | null>;
  saveWanted(lock: PreviewLock, wanted: Wanted, repository: RepositoryName): Promise<void>;
  saveDoing(lock: PreviewLock, step: StepName | null): Promise<void>;
  /** With `givenUp`, in the same transaction, that instance is marked as failed for good. */
  saveFailure(lock: PreviewLock, failure: Failure | null, givenUp?: InstanceName): Promise<void>;
  /** There is a verdict on everything that was asked for up to this generation. */
  saveConcluded(lock: PreviewLock, generation: number): Promise<void>;
  /** Takes the first free candidate and keeps it. Throws SLUG_UNAVAILABLE. */
  claimSlug(lock: PreviewLock, candidates: readonly Slug[]): Promise<Slug>;
  /** Makes the preview's host labels exactly these. Throws HOST_NAME_TAKEN, then nothing changed. */
  claimHosts(lock: PreviewLock, labels: readonly HostLabel[]): Promise<void>;
  /** A new instance with the next slot of the host's counter. Throws SLOTS_EXHAUSTED. */
  createInstance(lock: PreviewLock, revision: Revision): Promise<InstanceRecord>;
  /** Saves these facts and leaves the others; timings are added to those that are there. */
  saveInstance(lock: PreviewLock, name: InstanceName, facts: InstanceFacts): Promise<void>;
  /** One transaction: `name` answers from now on, the one before is retired. */
  saveSwitch(lock: PreviewLock, name: InstanceName, at: Date): Promise<void>;
  /** Forgets the instance and frees its slot. */
  removeInstance(lock: PreviewLock, name: InstanceName): Promise<void>;
  saveDatabase(lock: PreviewLock, database: PreviewDatabase | null): Promise<void>;
  /** Deletes the record, its host labels and its instances, unless something new was asked since `generation`. Says whether it did. */
  forget(lock: PreviewLock, generation: number): Promise<boolean>;

  loadReport(key: PreviewKey): Promise<ReportRecord | null>;
  /** Saves all but `lookAskedAt`. */
  saveReport(report: ReportRecord): Promise<void>;
  /** Asks for a look at the comments of previews; where there are more than `max`, at those whose turn it is. */
  askForCommentLooks(max: number): Promise<void>;
}

export interface JobQueue {
  /** Asks for a look at the preview, at once or at a time. Asking twice is asking once, and the look takes place no later than anyone asked. */
  enqueueReconcile(key: PreviewKey, runAt?: Date): Promise<void>;
  /** Asks for the pull request to be told, at once or at a time. Asking twice is asking once, and it is told no later than anyone asked. */
  enqueueReport(key: PreviewKey, runAt?: Date): Promise<void>;
  enqueueSweep(runAt?: Date): Promise<void>;
}

// ── Commands ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A program and its words. There is no shell in between; adapters build these in pure functions. */
export interface ShellCommand {
  readonly argv: readonly [program: string, ...words: string[]];
  readonly cwd?: string;
  /** Added to a minimal environment (PATH, HOME, LANG), which is all that a command gets of ours. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  readonly timeoutMs: number;
  /** Values that must appear in no log line and no error; replaced by `[redacted]`. */
  readonly secrets?: readonly string[];
  /** How much of each output is kept; SHELL_OUTPUT_MAX_BYTES where it is not said. */
  readonly outputMaxBytes?: number;
}

export interface ShellResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  /** Both bounded; the end is kept, and begins at a line. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface Shell {
  /**
   * Runs a command in a process group of its own and waits for it. A status other than zero is a result, not an error. When the signal fires or
   * the time is over, the whole group is ended before it rejects (with the signal's reason) or resolves (`timedOut`).
   * Throws RUNTIME_FAILED when the program cannot be started.
   */
  run(command: ShellCommand, signal?: AbortSignal): Promise<ShellResult>;
}

// ── The host ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface SourceRequest {
  readonly key: PreviewKey;
  readonly repository: RepositoryName;
  readonly revision: Revision;
}

export interface Sources {
  /** The commit is in the host's mirror of the repository. Throws SOURCE_UNAVAILABLE, COMMIT_NOT_FOUND. */
  ensure(source: SourceRequest, signal: AbortSignal): Promise<void>;
  /** A file of the commit, or null when it has none of that name. Throws SOURCE_REFUSED above `maxBytes`, or when it is not a regular file. */
  readFile(source: SourceRequest, path: string, maxBytes: number): Promise<string | null>;
  /** Whether the commit has a file of that name. */
  hasFile(source: SourceRequest, path: string): Promise<boolean>;
  /**
   * Places the tree of the commit in `directory/source` and a clonable copy without token in `directory/repository.git`. May be repeated; an
   * unfinished earlier try is replaced. Throws SOURCE_REFUSED for what we do not place.
   */
  place(source: SourceRequest, directory: string, signal: AbortSignal): Promise<void>;
  /** Removes mirrors of repositories that are not among these. */
  removeUnused(repositoryIds: ReadonlySet<number>): Promise<void>;
}

/** All that a runtime needs to know to run one instance. */
export interface InstanceSpec {
  readonly name: InstanceName;
  readonly slot: number;
  readonly addresses: SlotAddresses;
  readonly revision: Revision;
  readonly manifest: AppManifest;
  /** Store path of its system, from buildSystem. */
  readonly system: string | null;
  /** Without PORT and HOST, which the runtime adds per service. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface ObservedInstance {
  readonly name: InstanceName;
  readonly running: boolean;
  /** Per service, where they were asked for, which takes longer; empty when nothing runs. */
  readonly services: readonly {
    readonly name: string;
    readonly state: 'running' | 'restarting' | 'stopped';
    readonly restarts: number;
  }[];
}

export interface LogLine {
  readonly at: Date;
  /** `setup`, or the name of a service. */
  readonly source: string;
  /** No control characters, at most LOG_LINE_MAX_BYTES. */
  readonly text: string;
}

/** What runs the instances of this host: sandboxed child processes, or NixOS containers. */
export interface Runtime {
  readonly kind: 'process' | 'nixos-container';
  observe(name: InstanceName, more?: { services: true }): Promise<ObservedInstance | null>;
  /** Everything on this host that looks like an instance, with or without a record. */
  list(): Promise<ObservedInstance[]>;
  /** Null where instances have no disks of their own. Throws RUNTIME_FAILED. */
  diskRoom(): Promise<DiskRoom | null>;
  /** Addresses of a slot of this runtime's pool. */
  addressesOf(slot: number): SlotAddresses;
  /** How an app inside the instance reaches the copy of its repository that Sources.place made. */
  repositoryUrlOf(name: InstanceName): string;
  /** What a preview-config.nix says. Throws CONFIG_REFUSED, EVAL_TIMEOUT, EVAL_MEMORY, META_INVALID. */
  readConfig(config: string, signal: AbortSignal): Promise<PreviewMeta>;
  /** Builds what the manifest asks for, or returns at once what was built before. Null where the runtime needs nothing. */
  buildSystem(manifest: AppManifest, signal: AbortSignal): Promise<BuiltSystem | null>;
  /** Makes of the instance what needs no files, while they are placed. What it does not do, setUp does. Never throws. */
  prepare(spec: Pick<InstanceSpec, 'name' | 'system' | 'manifest'>): Promise<void>;
  /** Makes room for the instance and returns the directory where Sources.place is to put its files. */
  ensureDirectory(name: InstanceName): Promise<string>;
  /** Runs the setup command in the sandbox, on files that were just placed. Throws SETUP_FAILED or SETUP_TIMED_OUT with the last lines. */
  setUp(spec: InstanceSpec, signal: AbortSignal): Promise<void>;
  /** Its services run (started once, supervised from then on). Throws START_FAILED. */
  start(spec: InstanceSpec, signal: AbortSignal): Promise<void>;
  /** Where each declared port is answered. Pure: the same before and after start. */
  upstreamsOf(spec: Pick<InstanceSpec, 'slot' | 'manifest'>): Upstreams;
  /** Runs a command in a running instance, within its walls, and returns its status. Throws PREVIEW_NOT_RUNNING, COMMAND_REFUSED. */
  run(spec: InstanceSpec, command: CommandInside, streams: CommandStreams): Promise<number>;
  /** No process of it runs. Files stay. */
  stop(name: InstanceName): Promise<void>;
  /** Nothing of it is left: processes, files, network. */
  remove(name: InstanceName): Promise<void>;
  /** Its output, oldest first; with `follow` until the signal fires or the instance is removed. */
  logs(
    name: InstanceName,
    options: { follow: boolean; tailLines: number; signal: AbortSignal },
  ): AsyncIterable<LogLine>;
}

export interface HealthRequest {
  readonly upstreams: readonly Upstream[];
  /** The one that gets the HTTP request. */
  readonly main: Upstream;
  readonly path: string;
  /** Whether the path was declared: then an answer from 400 on is an error, otherwise from 500 on. */
  readonly declared: boolean;
  readonly timeoutMs: number;
  /** Host header of the request: the preview's own. */
  readonly host: string;
}

export interface Health {
  /**
   * Resolves when every upstream accepts connections and the main one has given a good answer. Throws NEVER_LISTENED or UNHEALTHY after the timeout, and
   * SERVICE_CRASHED for what `isCrashing` says: a sentence about a service that keeps ending, asked for beside the tries, once at least.
   */
  check(request: HealthRequest, isCrashing: () => Promise<string | null>, signal: AbortSignal): Promise<void>;
}

export interface Routes {
  observe(slug: Slug): Promise<PreviewRoute | null>;
  list(): Promise<PreviewRoute[]>;
  /** In force when it resolves; nothing in flight is dropped. Throws ROUTE_REFUSED; then what was in force still is. */
  ensure(route: PreviewRoute): Promise<void>;
  remove(slug: Slug): Promise<void>;
  /** Requests and open streams that an instance is still answering. */
  inFlight(slug: Slug, instance: InstanceName): Promise<number>;
  /** `https://shop-42.preview.example.com` and the like. */
  addressOf(label: HostLabel): { host: string; url: string };
  /** Compares the files with what is in force. */
  defects(): Promise<RouteDefect[]>;
}

export interface AppDatabases {
  list(): Promise<DatabaseName[]>;
  /** Role and database exist, with this password, and nobody else gets in. Data stays; a new one begins with the seed. Throws DATABASE_FAILED, SEED_FAILED. */
  ensure(database: PreviewDatabase, seed?: DatabaseSeed): Promise<void>;
  /**
   * Nobody can connect to a database that holds more than `maxBytes`, and who was connected no longer is; one that was closed like that and fits
   * again is open. Resolves to the bytes that it holds, null where there is none. Throws DATABASE_FAILED.
   */
  limitSize(name: DatabaseName, maxBytes: number): Promise<number | null>;
  /** Database and role are gone, also while someone is connected. */
  remove(name: DatabaseName): Promise<void>;
  /** Whether the preview can use it: there, and not closed for its size. */
  has(name: DatabaseName): Promise<boolean>;
  listTemplates(): Promise<TemplateName[]>;
  /** Finished or not, template and role are gone; the copies stay. */
  removeTemplate(name: TemplateName): Promise<void>;
  /** What the app gets as DATABASE_URL. */
  urlOf(database: PreviewDatabase, addresses: SlotAddresses): string;
}

export interface Secrets {
  /** Values of the names that this repository may have. Throws SECRET_NOT_ALLOWED naming the first that it may not. */
  read(repository: RepositoryName, names: readonly string[]): Promise<Record<string, string>>;
}

/** Randomness is a port too, so that a simulated run can be repeated. */
export interface Random {
  /** 24 characters of letters and digits: 142 bits. */
  password(): string;
}

// ── Jobs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The work itself. A handler that resolves has finished its job; one that throws gets it again later. */
export interface JobHandlers {
  reconcile(key: PreviewKey, signal: AbortSignal): Promise<void>;
  report(key: PreviewKey, signal: AbortSignal): Promise<void>;
  sweep(signal: AbortSignal): Promise<void>;
}

export interface JobWorker {
  /**
   * Works off jobs until stopped: one at a time per key, `concurrency` previews in all; reports and the sweep do not count. For each preview that
   * is worked on for longer than `patienceMs` (JOB_PATIENCE_MS where it is not said) one more is, at most as many again and at most four. A job whose
   * process died is picked up again in about a second by whoever is alive. `stop` aborts what runs, waits for it and gives it back.
   */
  start(
    handlers: JobHandlers,
    options: { concurrency: number; patienceMs?: number },
  ): Promise<{ stop(): Promise<void> }>;
}

/** What the reconciler works with. Functions take the part that they touch, with Pick. */
export interface Operator {
  readonly policy: Policy;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly pullRequests: PullRequests;
  readonly reports: Reports;
  readonly redeliveries: Redeliveries;
  readonly store: PreviewStore;
  readonly jobs: JobQueue;
  readonly sources: Sources;
  readonly runtime: Runtime;
  readonly health: Health;
  readonly routes: Routes;
  readonly databases: AppDatabases;
  readonly secrets: Secrets;
}
