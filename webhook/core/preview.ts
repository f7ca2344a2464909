/**
 * What we know of a preview: facts only. What state it is in is never stored; phaseOf computes it, and everything that a person
 * sees (comment, status, command line, status page, metrics) renders that one answer.
 */
import type { AppManifest } from './app-manifest.ts';
import type { ErrorCode, Retry } from './errors.ts';
import { templateNameOf, type DatabaseName, type InstanceName, type Slug, type TemplateName } from './names.ts';
import type { PreviewKey, RepositoryName, Revision, Sha } from './pull-request.ts';

/** Where a port of the manifest is answered: what a route finally points at. */
export interface Upstream {
  readonly address: string;
  readonly port: number;
}

/** Declared port → where it is answered. Keys are decimal numbers, because this is stored as JSON. */
export type Upstreams = Readonly<Record<string, Upstream>>;

/** The parts of a bring-up, in the order in which a person would tell them. */
export type BringUpStepName =
  | 'claim-names'
  | 'open-route'
  | 'fetch-source'
  | 'create-instance'
  | 'read-manifest'
  | 'place-source'
  | 'ensure-database'
  | 'build-system'
  | 'set-up'
  | 'start'
  | 'check-health'
  | 'switch-route';

/** What becomes of an instance that is not needed any more. */
export type EndStepName = 'retire' | 'discard';

/** The parts of a removal. */
export type RemovalStepName = 'remove-route' | 'remove-database' | 'forget';

/** Every step, and `look`, which comes before all of them. */
export type StepName = 'look' | BringUpStepName | EndStepName | RemovalStepName;

/** One (preview, commit), brought up once and never changed: an own slot, directory or container, and processes. */
export interface InstanceRecord {
  readonly id: number;
  readonly name: InstanceName;
  readonly slot: number;
  readonly revision: Revision;
  readonly createdAt: Date;
  /** The preview's generation when the instance was created: how much was asked for since tells a burst of pushes. */
  readonly generation: number;
  /** Null until read-manifest has read it from the commit. */
  readonly manifest: AppManifest | null;
  /** What was assumed because the repository has no manifest. */
  readonly assumptions: readonly string[];
  /** Store path of the built system, where the runtime has such a thing. */
  readonly system: string | null;
  /** Whether that had been built before this instance asked for it; null until it is known. */
  readonly isSystemCached: boolean | null;
  /** Null again while a setup changes the files, until it has run to its end. */
  readonly sourcePlacedAt: Date | null;
  readonly setUpAt: Date | null;
  readonly upstreams: Upstreams | null;
  /** The first good answer of the app on this instance since it was started last. */
  readonly healthyAt: Date | null;
  /** When the route was switched to it, and when it was switched away again. */
  readonly routedAt: Date | null;
  readonly retiredAt: Date | null;
  /** Set when a step failed for good on this instance; it is not tried again. */
  readonly failedAt: Date | null;
  /** When its removal began. From then on it is never used again, however much of it is still there. */
  readonly discardedAt: Date | null;
  /** Milliseconds each step took, for the report and the benchmarks. */
  readonly timings: Readonly<Partial<Record<StepName, number>>>;
}

export interface BuiltSystem {
  /** In the Nix store. */
  readonly path: string;
  /** Whether it had been built before: then nothing was evaluated. */
  readonly isCached: boolean;
}

/** The facts of an instance that a step may save. */
export type InstanceFacts = Partial<
  Omit<InstanceRecord, 'id' | 'name' | 'slot' | 'revision' | 'createdAt' | 'generation'>
>;

/** Why a preview that follows an open pull request is kept away. */
export type RefusalReason = 'fork' | 'fork-deleted' | 'dependabot' | 'draft';

/** Why a preview must not exist. */
export type AbsenceReason = 'closed' | 'repository-not-allowed' | 'destroyed-by-operator';

/** What was wanted when we last looked. Display only: every run looks again. */
export type Wanted =
  /** `rolledBackFrom`: the head, where a rollback shows an earlier commit instead. */
  | { readonly presence: 'present'; readonly revision: Revision; readonly rolledBackFrom?: Sha }
  | { readonly presence: 'refused'; readonly revision: Revision; readonly reason: RefusalReason }
  | { readonly presence: 'absent'; readonly reason: AbsenceReason };

/** The head of the pull request, by what was seen of it; `revision` is another commit after a rollback. */
export function headOf(seen: { readonly revision: Revision; readonly rolledBackFrom?: Sha }): Sha {
  return seen.rolledBackFrom ?? seen.revision.sha;
}

/** An operator's word that stands above the pull request while its head is `whileHead`; lifted once the preview has come to rest at another. */
export type Hold =
  /** `preview destroy` of an open pull request. */
  | { readonly kind: 'destroyed'; readonly whileHead: Sha }
  /** `preview rollback`: show this commit. */
  | { readonly kind: 'pinned'; readonly revision: Revision; readonly whileHead: Sha };

export interface Failure {
  readonly code: ErrorCode;
  readonly step: StepName;
  /** For the author of the pull request. */
  readonly message: string;
  readonly hint: string;
  /** Last lines of the app's output, bounded. */
  readonly detail: string | null;
  /** The commit it failed on; null when we did not get as far as knowing one. */
  readonly sha: Sha | null;
  readonly at: Date;
  readonly attempts: number;
  readonly retry: Retry;
  readonly nextAttemptAt: Date | null;
}

export interface PreviewDatabase {
  readonly name: DatabaseName;
  readonly password: string;
}

/** All facts of one preview. Instances are in order of creation. */
export interface PreviewRecord {
  readonly id: number;
  readonly key: PreviewKey;
  readonly repository: RepositoryName;
  /** Grows with each reason to look (delivery, command, sweep): a run that began at an older number is overtaken. */
  readonly generation: number;
  /** What was asked for up to here has its verdict: all is as wanted, or what failed is written down. */
  readonly concludedGeneration: number;
  readonly createdAt: Date;
  readonly requestedAt: Date;
  /** Claimed once, kept for life. */
  readonly slug: Slug | null;
  readonly wanted: Wanted | null;
  readonly hold: Hold | null;
  /** When someone last asked to try again what has failed. */
  readonly retryAskedAt: Date | null;
  readonly database: PreviewDatabase | null;
  readonly instances: readonly InstanceRecord[];
  /** The instance that the route points at. */
  readonly answering: InstanceName | null;
  readonly failure: Failure | null;
  /** The step under way, for display; null between runs. */
  readonly doing: { readonly step: StepName; readonly since: Date } | null;
}

/** The state of a preview, each variant with only what is valid in it. */
export type Phase =
  | { readonly name: 'waiting'; readonly since: Date }
  | { readonly name: 'refused'; readonly reason: RefusalReason }
  /** Coming up for the first time. */
  | { readonly name: 'starting'; readonly revision: Revision; readonly step: StepName; readonly since: Date }
  /** `rolledBackFrom`: the head, where a rollback shows an earlier commit instead. */
  | { readonly name: 'live'; readonly revision: Revision; readonly since: Date; readonly rolledBackFrom: Sha | null }
  /** An older commit answers while a newer one comes up. */
  | {
      readonly name: 'updating';
      readonly revision: Revision;
      readonly live: Revision;
      readonly step: StepName;
      readonly since: Date;
    }
  /** Failed; tried again by itself. `live` still answers, if there is one. */
  | { readonly name: 'retrying'; readonly failure: Failure; readonly live: Revision | null }
  /** Failed; waits for new input or a person. */
  | { readonly name: 'failed'; readonly failure: Failure; readonly live: Revision | null }
  /** Destroyed by the operator while its pull request is open. */
  | { readonly name: 'held' }
  | { readonly name: 'removing'; readonly reason: AbsenceReason };

export function instanceNamed(record: PreviewRecord, name: InstanceName | null): InstanceRecord | null {
  return record.instances.find((instance) => instance.name === name) ?? null;
}

/** The head of the pull request when we last looked. Null when there is none to speak of. */
export function seenHead({ wanted, hold }: Pick<PreviewRecord, 'wanted' | 'hold'>): Sha | null {
  // What was destroyed has no revision any more: only the hold knows the head.
  return wanted === null || wanted.presence === 'absent' ? (hold?.whileHead ?? null) : headOf(wanted);
}

/** The instance that the URL shows, if any. */
export function answeringInstance(record: PreviewRecord): InstanceRecord | null {
  return instanceNamed(record, record.answering);
}

/** What was assumed of the commit that there is something to say about: the one that failed, or else the one that is shown or coming up. */
export function toldAssumptions(record: PreviewRecord): readonly string[] {
  const phase = phaseOf(record);
  const failedSha = 'failure' in phase ? phase.failure.sha : null;
  const failed = failedSha === null ? undefined : record.instances.findLast((each) => each.revision.sha === failedSha);
  return (failed ?? answeringInstance(record) ?? record.instances.at(-1))?.assumptions ?? [];
}

const MIB = 1024 * 1024;

/** Bytes that the preview's database may hold: what the most generous of its instances asks for. Null when none has said so yet. */
export function databaseMaxBytes(record: PreviewRecord): number | null {
  const limits = record.instances.flatMap(({ manifest }) =>
    manifest?.database === 'host' ? manifest.limits.databaseMiB * MIB : [],
  );
  return limits.length === 0 ? null : Math.max(...limits);
}

/** Templates that the preview's instances would begin a new database with. */
export function templatesOf(record: PreviewRecord): TemplateName[] {
  return record.instances.flatMap(({ manifest }) =>
    manifest?.seedHash === undefined ? [] : templateNameOf(record.key.repositoryId, manifest.seedHash),
  );
}

/** Whether the stored failure still counts: not when someone has asked to try again since, and not for another commit. */
export function isFailureCurrent(record: PreviewRecord, sha: Sha | null): boolean {
  const { failure, retryAskedAt } = record;
  if (failure === null) return false;
  if (retryAskedAt !== null && retryAskedAt >= failure.at) return false;
  return failure.sha === null || sha === null || failure.sha === sha;
}

/** The one reading of the facts. `live` is said only of an instance that has answered and that the route points at. */
export function phaseOf(record: PreviewRecord): Phase {
  const { wanted } = record;
  const answering = answeringInstance(record);
  const live = answering !== null && answering.healthyAt !== null ? answering.revision : null;
  if (wanted === null) return failedPhase(record, null, live) ?? { name: 'waiting', since: record.requestedAt };
  if (wanted.presence === 'refused') return { name: 'refused', reason: wanted.reason };
  if (wanted.presence === 'absent') {
    const isGone = record.instances.length === 0 && record.database === null;
    return wanted.reason === 'destroyed-by-operator' && isGone
      ? { name: 'held' }
      : { name: 'removing', reason: wanted.reason };
  }
  const { revision } = wanted;
  const failed = failedPhase(record, revision.sha, live);
  if (failed !== null) return failed;
  if (live !== null && live.sha === revision.sha) {
    const since = answering?.routedAt ?? record.requestedAt;
    return { name: 'live', revision, since, rolledBackFrom: wanted.rolledBackFrom ?? null };
  }
  const step = record.doing?.step;
  if (step === undefined && live === null) return { name: 'waiting', since: record.requestedAt };
  const since = record.doing?.since ?? record.requestedAt;
  return live === null
    ? { name: 'starting', revision, step: step ?? 'look', since }
    : { name: 'updating', revision, live, step: step ?? 'look', since };
}

function failedPhase(record: PreviewRecord, sha: Sha | null, live: Revision | null): Phase | null {
  const { failure } = record;
  if (failure === null || !isFailureCurrent(record, sha)) return null;
  // While GitHub is away, a preview that shows the wanted commit is live all the same.
  if (failure.step === 'look' && live !== null && live.sha === sha) return null;
  return failure.retry === 'later' ? { name: 'retrying', failure, live } : { name: 'failed', failure, live };
}
