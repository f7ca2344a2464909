/**
 * A preview as operators are shown it: what `preview --json` prints and the API answers. Made from the facts by one function; holds
 * nothing that an operator may not see (no password, no secret).
 */
import { hintAbout, type ErrorCode } from './errors.ts';
import { extraHostLabel, hostLabelOf, type HostLabel } from './names.ts';
import {
  answeringInstance,
  phaseOf,
  toldAssumptions,
  type InstanceRecord,
  type Phase,
  type PreviewRecord,
  type StepName,
} from './preview.ts';
import { keyText } from './pull-request.ts';
import { phaseText } from './report.ts';

export interface PreviewView {
  /** Null until a name was claimed. */
  readonly slug: string | null;
  readonly key: string;
  readonly repository: string;
  /** Null for a branch that has no pull request. */
  readonly pullRequest: number | null;
  readonly status: Phase['name'];
  /** The status in a few words. */
  readonly statusText: string;
  readonly branch: string | null;
  /** The commit that the URL shows; null while it shows none. */
  readonly commit: string | null;
  readonly url: string | null;
}

export interface FailureView {
  readonly code: ErrorCode;
  readonly step: StepName;
  readonly message: string;
  readonly hint: string;
  readonly detail: string | null;
  readonly commit: string | null;
  readonly at: string;
  readonly attempts: number;
  readonly nextAttemptAt: string | null;
}

export interface InstanceView {
  readonly name: string;
  readonly slot: number;
  readonly commit: string;
  readonly state: 'answering' | 'coming up' | 'kept for rollback' | 'failed';
  readonly createdAt: string;
  /** Where its system came from: built for it, or one that was kept. Null where there is none, or not yet. */
  readonly closure: 'built' | 'cached' | null;
  readonly timingsMs: Readonly<Partial<Record<StepName, number>>>;
}

export interface PreviewDetailView extends PreviewView {
  /** Every address, the main one first. */
  readonly urls: readonly string[];
  readonly wantedCommit: string | null;
  /** The step under way. */
  readonly step: StepName | null;
  readonly isPinned: boolean;
  readonly hasDatabase: boolean;
  /** How often something was asked for, and up to which of these there is a verdict. */
  readonly generation: number;
  readonly concludedGeneration: number;
  readonly createdAt: string;
  readonly requestedAt: string;
  readonly assumptions: readonly string[];
  readonly failure: FailureView | null;
  readonly instances: readonly InstanceView[];
}

type UrlOf = (label: HostLabel) => string;

/** One row of `preview list`. */
export function previewView(record: PreviewRecord, urlOf: UrlOf): PreviewView {
  const phase = phaseOf(record);
  const { subject } = record.key;
  const answering = answeringInstance(record);
  const wanted = record.wanted === null || record.wanted.presence === 'absent' ? null : record.wanted.revision;
  return {
    slug: record.slug,
    key: keyText(record.key),
    repository: record.repository,
    pullRequest: subject.kind === 'pull' ? subject.number : null,
    status: phase.name,
    statusText: phaseText(phase),
    branch: subject.kind === 'branch' ? subject.name : (wanted?.ref ?? answering?.revision.ref ?? null),
    commit: answering !== null && answering.healthyAt !== null ? answering.revision.sha : null,
    url: record.slug === null ? null : urlOf(hostLabelOf(record.slug)),
  };
}

/** Everything about one preview. */
export function previewDetailView(record: PreviewRecord, urlOf: UrlOf): PreviewDetailView {
  const summary = previewView(record, urlOf);
  const { failure, slug } = record;
  const shown = answeringInstance(record) ?? record.instances.at(-1) ?? null;
  const extraHosts = slug === null ? [] : (shown?.manifest?.extraHosts ?? []);
  const extraUrls = slug === null ? [] : extraHosts.map((host) => urlOf(extraHostLabel(host.prefix, slug)));
  return {
    ...summary,
    urls: summary.url === null ? [] : [summary.url, ...extraUrls],
    wantedCommit: record.wanted === null || record.wanted.presence === 'absent' ? null : record.wanted.revision.sha,
    step: record.doing?.step ?? null,
    isPinned: record.wanted?.presence === 'present' && record.wanted.rolledBackFrom !== undefined,
    hasDatabase: record.database !== null,
    generation: record.generation,
    concludedGeneration: record.concludedGeneration,
    createdAt: record.createdAt.toISOString(),
    requestedAt: record.requestedAt.toISOString(),
    assumptions: toldAssumptions(record),
    failure:
      failure === null
        ? null
        : {
            code: failure.code,
            step: failure.step,
            message: failure.message,
            hint: hintAbout(slug, failure.hint),
            detail: failure.detail,
            commit: failure.sha,
            at: failure.at.toISOString(),
            attempts: failure.attempts,
            nextAttemptAt: failure.nextAttemptAt?.toISOString() ?? null,
          },
    instances: record.instances.map((instance) => instanceView(record, instance)),
  };
}

function instanceView(record: PreviewRecord, instance: InstanceRecord): InstanceView {
  return {
    name: instance.name,
    slot: instance.slot,
    commit: instance.revision.sha,
    state: instanceState(record, instance),
    createdAt: instance.createdAt.toISOString(),
    closure: instance.isSystemCached === null ? null : instance.isSystemCached ? 'cached' : 'built',
    timingsMs: instance.timings,
  };
}

function instanceState(record: PreviewRecord, instance: InstanceRecord): InstanceView['state'] {
  if (instance.name === record.answering) return 'answering';
  if (instance.failedAt !== null) return 'failed';
  return instance.retiredAt === null ? 'coming up' : 'kept for rollback';
}

/** What was asked for with create, update, rollback or destroy, and how to see that it has happened. */
export interface AskedView {
  /** Whether everything was as wanted already; then nothing was asked. */
  readonly isDone: boolean;
  readonly preview: PreviewDetailView;
  /** The commit that the preview is to show; null for destroy. */
  readonly wantedCommit: string | null;
}

/** One line of a watch. `gone` ends it. */
export type WatchLine = { readonly preview: PreviewDetailView } | { readonly gone: true };

/** One line that setup or a service printed. */
export interface LogLineView {
  readonly at: string;
  readonly source: string;
  readonly text: string;
}

/** One line of `preview logs`. When it follows: which commit the lines are of from here on, and that the preview is gone, which ends it. */
export type LogsLine = LogLineView | { readonly goesOnWith: { readonly commit: string } } | { readonly gone: true };

/** What `preview build` follows: one line, or an error. */
export interface BuildLine {
  readonly branch: string;
  readonly commit: string;
  /** Store path of the system; null where the runtime needs none. */
  readonly system: string | null;
  /** Whether it had been built before. */
  readonly isCached: boolean;
  readonly ms: number;
}

/** What `preview exec` follows: its session first, its status last. Data is in base64. */
export type CommandLineView =
  | { readonly session: string }
  | { readonly stream: 'stdout' | 'stderr'; readonly data: string }
  | { readonly status: number };

export interface PlanView {
  readonly wanted: string;
  /** The steps with their reasons, in order; empty when all is as wanted. */
  readonly steps: readonly string[];
}

export interface DoctorFinding {
  /** `orphan`: on the host without a record. `drift`: not as wanted, and nothing is being done about it. `unknown`: could not be looked at. `host`: it is short of something. */
  readonly kind: 'orphan' | 'drift' | 'failed' | 'unknown' | 'host';
  readonly about: string;
  readonly message: string;
  /** What `--fix` did, or would do; null where a person is needed. */
  readonly fix: string | null;
}

export interface DoctorView {
  readonly previews: number;
  readonly findings: readonly DoctorFinding[];
  readonly isFixed: boolean;
}

/** How every refused request is answered. */
export interface ErrorView {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string };
}
