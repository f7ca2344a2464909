/** The ports of one operator process over the simulated world. The reconciler, the jobs and the policy above them are the real ones. */
import { OperatorError } from '../../webhook/core/errors.ts';
import type { Policy } from '../../webhook/core/policy.ts';
import { ownerOf } from '../../webhook/core/pull-request.ts';
import {
  commentHashOf,
  isLookDue,
  leftOverComment,
  statusHashOf,
  type ReportRecord,
} from '../../webhook/core/report-record.ts';
import type { Report } from '../../webhook/core/report.ts';
import type { Log, Operator, PullRequests, Reports } from '../../webhook/ports.ts';
import type { SimulatedProcess } from './faults.ts';
import type { Shared } from './shared-world.ts';
import { OUR_LOGIN, type SimulatedGitHub, type SimulatedPull } from './simulated-github.ts';
import { simulatedDatabases, simulatedRoutes } from './simulated-routes.ts';
import { simulatedHealth, simulatedRuntime, simulatedSources } from './simulated-runtime.ts';
import { simulatedJobs, simulatedStore } from './simulated-store.ts';

export const NO_LOG: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => NO_LOG };

export function simulatedOperator(world: Shared, process: SimulatedProcess, policy: Policy): Operator {
  const clock = {
    now: () => world.clock.now(),
    sleep: async (ms: number, signal?: AbortSignal) => {
      await world.clock.sleep(ms, signal);
      if (!process.alive) await new Promise(() => undefined);
    },
  };
  return {
    policy,
    clock,
    log: NO_LOG,
    random: { password: () => `password-${world.random.integer(0, 1e9)}` },
    pullRequests: pullRequests(world, process),
    reports: reports(world, process),
    redeliveries: { request: () => world.faults.read(process, () => world.redeliver()) },
    store: simulatedStore(world, process),
    jobs: simulatedJobs(world, process),
    sources: simulatedSources(world, process),
    runtime: simulatedRuntime(world, process),
    health: simulatedHealth(world, process),
    routes: simulatedRoutes(world, process),
    databases: simulatedDatabases(world, process),
    secrets: { read: async () => ({}) },
  };
}

function pullRequests({ github, faults, random, clock }: Shared, process: SimulatedProcess): PullRequests {
  const fail = () => {
    if (!random.chance(faults.rates.github)) return;
    throw random.pick([
      new OperatorError('GITHUB_UNREACHABLE', 'GitHub answered 502 (injected).'),
      new OperatorError('GITHUB_RATE_LIMITED', 'GitHub answered 429 (injected).', { retryAfterMs: 5_000 }),
      new OperatorError('GITHUB_FORBIDDEN', 'GitHub answered 403 (injected).'),
    ]);
  };
  return {
    observe: (key, repository) =>
      faults.read(process, () => {
        fail();
        if (random.chance(faults.rates.github)) return { state: 'missing' };
        const lagMs = random.chance(faults.rates.stale) ? random.integer(200, 3_000) : 0;
        return github.observe(key, repository, clock.elapsedMs, lagMs);
      }),
    listOpen: (name) =>
      faults.read(process, () => {
        fail();
        const repository = github.byName(name);
        if (repository === null) throw new OperatorError('SUBJECT_NOT_FOUND', 'GitHub answered 404.');
        const open = [...repository.pulls.values()].filter((pull) => pull.state === 'open');
        return open.map(({ number }) => ({
          key: { repositoryId: repository.id, subject: { kind: 'pull' as const, number } },
          repository: repository.name,
        }));
      }),
    find: async () => null,
    listRepositories: async (owner) =>
      [...github.repositories.values()].map(({ name }) => name).filter((name) => ownerOf(name) === owner),
  };
}

function reports({ github, faults, clock }: Shared, process: SimulatedProcess): Reports {
  return {
    ensure: (before, report) =>
      faults.effect(process, 'reports.ensure', () => {
        const repository = github.repositories.get(before.key.repositoryId);
        const number = before.key.subject.kind === 'pull' ? before.key.subject.number : 0;
        const pull = repository?.pulls.get(number);
        if (pull === undefined) throw new OperatorError('GITHUB_UNREACHABLE', 'No such pull request.');
        const comment = ensureComment(github, pull, { before, report, now: clock.now() });
        return { ...before, ...comment, status: ensureStatus(pull, before, report), lookedAt: before.lookAskedAt };
      }),
  };
}

const MARKER = '<!-- berth:simulated -->';
const SIGNS = { login: OUR_LOGIN, marker: MARKER, anyMarker: MARKER };

/** As the real adapter: by id, or else what a cut-off try left behind. */
function ensureComment(
  github: SimulatedGitHub,
  pull: SimulatedPull,
  { before, report, now }: { before: ReportRecord; report: Report; now: Date },
): Pick<ReportRecord, 'commentId' | 'creatingSince' | 'commentHash'> {
  const { commentId } = before;
  const hash = commentHashOf(report);
  const body = `${report.comment}\n\n${MARKER}`;
  const said = (id: number | null) => ({ commentId: id, creatingSince: null, commentHash: hash });
  if (commentId !== null && before.commentHash === hash && !isLookDue(before, report)) return said(commentId);
  const known =
    commentId === null
      ? leftOverComment(pull.comments, SIGNS, before.creatingSince)
      : pull.comments.find((comment) => comment.id === commentId);
  if (known === undefined) return { commentId: null, creatingSince: null, commentHash: null };
  if (known === null) return said(report.mayCreate ? github.createComment(pull, body, now) : null);
  github.editComment(pull, known.id, body, now);
  return said(known.id);
}

function ensureStatus(pull: SimulatedPull, before: ReportRecord, report: Report): ReportRecord['status'] {
  if (report.status === null) return before.status;
  const { sha, state } = report.status;
  const hash = statusHashOf(report.status);
  if (before.status?.sha !== sha || before.status.hash !== hash) {
    pull.statuses.set(sha, state);
    pull.lastStatus = report.status;
  }
  return { sha, hash };
}
