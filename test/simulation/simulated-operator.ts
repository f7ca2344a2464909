/** The ports of one operator process over the simulated world. The reconciler, the jobs and the policy above them are the real ones. */
import { OperatorError } from '../../webhook/core/errors.ts';
import type { Policy } from '../../webhook/core/policy.ts';
import { ownerOf } from '../../webhook/core/pull-request.ts';
import { commentHashOf, isLookDue, statusHashOf } from '../../webhook/core/report.ts';
import type { Log, Operator, PullRequests, Reports } from '../../webhook/ports.ts';
import type { SimulatedProcess } from './faults.ts';
import type { Shared } from './shared-world.ts';
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
        return open.map((pull) => ({
          repositoryId: repository.id,
          subject: { kind: 'pull' as const, number: pull.number },
        }));
      }),
    find: async () => null,
    listRepositories: async (owner) =>
      [...github.repositories.values()].map(({ name }) => name).filter((name) => ownerOf(name) === owner),
  };
}

function reports({ github, faults }: Shared, process: SimulatedProcess): Reports {
  return {
    ensure: (before, report) => {
      let commentId = before.commentId;
      return faults.effect(process, 'reports.ensure', () => {
        const repository = github.repositories.get(before.key.repositoryId);
        if (repository === undefined || before.key.subject.kind !== 'pull')
          throw new OperatorError('GITHUB_UNREACHABLE', 'No such pull request.');
        const { number } = before.key.subject;
        const pull = repository.pulls.get(number);
        if (pull === undefined) throw new OperatorError('GITHUB_UNREACHABLE', 'No such pull request.');
        // As the real adapter: by id, or else a comment of ours that a cut-off try left behind.
        const known = pull.comments.find((comment) => comment.id === commentId) ?? pull.comments[0];
        const isSaid = commentId !== null && before.commentHash === commentHashOf(report);
        const isBelieved = isSaid && !isLookDue(before, report);
        if (known === undefined && !report.mayCreate) return before;
        if (known === undefined && !isBelieved) commentId = github.createComment(repository, number, report.comment);
        if (known !== undefined && !isBelieved) {
          known.body = report.comment;
          commentId = known.id;
        }
        const status =
          report.status === null ? before.status : { sha: report.status.sha, hash: statusHashOf(report.status) };
        const isStatusBelieved = before.status?.sha === status?.sha && before.status?.hash === status?.hash;
        if (report.status !== null && !isStatusBelieved) pull.statuses.set(report.status.sha, report.status.state);
        return {
          ...before,
          commentId,
          commentHash: commentHashOf(report),
          status,
          lookedAt: before.lookAskedAt,
        };
      });
    },
  };
}
