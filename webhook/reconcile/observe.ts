/** Gathers what a run decides upon: what GitHub wants and what the world holds. Changes nothing in the world. */
import { isDeepStrictEqual } from 'node:util';
import { OperatorError, operatorErrorFrom } from '../core/errors.ts';
import { databaseNameOf, type InstanceName } from '../core/names.ts';
import type { ObservedWorld } from '../core/plan.ts';
import { desiredFrom, isAllowedRepository, type Desired } from '../core/policy.ts';
import type { PreviewRecord, Wanted } from '../core/preview.ts';
import type { ObservedSubject } from '../core/pull-request.ts';
import { routeHostsOf, type PreviewRoute } from '../core/preview-route.ts';
import type { Operator } from '../ports.ts';

export interface Look {
  /** The preview's generation before GitHub was asked: what was asked for later, this look does not know of. */
  readonly generation: number;
  readonly desired: Desired;
  readonly world: ObservedWorld;
  /** Why GitHub could not be asked; then `desired` says to keep what there is. */
  readonly problem: OperatorError | null;
}

type Observing = Pick<Operator, 'policy' | 'pullRequests' | 'runtime' | 'routes' | 'databases'>;

/** Looks at both sides at once. Throws only when the host itself cannot be read. */
export async function lookAtPreview(op: Observing, record: PreviewRecord, signal: AbortSignal): Promise<Look> {
  const [wish, world] = await Promise.all([observeDesired(op, record, signal), observeWorld(op, record)]);
  return { generation: record.generation, ...wish, world };
}

/** What should exist, as GitHub and the operator's policy say now. */
export async function observeDesired(
  op: Pick<Operator, 'policy' | 'pullRequests'>,
  record: PreviewRecord,
  signal: AbortSignal,
): Promise<Pick<Look, 'desired' | 'problem'>> {
  let observed: ObservedSubject | null = null;
  let problem: OperatorError | null = null;
  // What is not allowed is not asked about either: the token may have no business there.
  if (isAllowedRepository(op.policy, record.repository)) {
    try {
      observed = await op.pullRequests.observe(record.key, record.repository, signal);
      // Proves nothing, so nothing is destroyed; but it may have been a hiccup, so it is asked again.
      if (observed.state === 'missing')
        problem = new OperatorError(
          'SUBJECT_NOT_FOUND',
          'GitHub answers that there is no such pull request or branch.',
        );
    } catch (error) {
      signal.throwIfAborted();
      problem = operatorErrorFrom(error);
    }
  }
  return { desired: desiredFrom(op.policy, record, observed), problem };
}

async function observeWorld(
  op: Pick<Operator, 'runtime' | 'routes' | 'databases'>,
  record: PreviewRecord,
): Promise<ObservedWorld> {
  const [observed, route, hasDatabase] = await Promise.all([
    Promise.all(record.instances.map((instance) => op.runtime.observe(instance.name))),
    record.slug === null ? null : op.routes.observe(record.slug),
    record.slug === null ? false : op.databases.has(databaseNameOf(record.slug)),
  ]);
  const instances = new Map(
    observed.filter((each) => each !== null).map((each) => [each.name, { running: each.running }]),
  );
  return { instances, route: route === null ? undefined : shownBy(route, record), hasDatabase };
}

/** The instance that the route points at; null also where the route has other hosts than the instance's manifest: then it has to be made again. */
function shownBy(route: PreviewRoute, record: PreviewRecord): InstanceName | null {
  const name = route.answering?.instance ?? null;
  const manifest = record.instances.find((instance) => instance.name === name)?.manifest ?? null;
  const isAsRecorded = manifest === null || isDeepStrictEqual(route.hosts, routeHostsOf(route.slug, manifest));
  return isAsRecorded ? name : null;
}

/** The wish as a fact to store for display, or null when we learned nothing. */
export function wantedFrom(desired: Desired): Wanted | null {
  switch (desired.kind) {
    case 'present': {
      const { revision, rolledBackFrom } = desired;
      return { presence: 'present', revision, ...(rolledBackFrom !== undefined && { rolledBackFrom }) };
    }
    case 'refused':
      return { presence: 'refused', revision: desired.revision, reason: desired.reason };
    case 'absent':
      return { presence: 'absent', reason: desired.reason };
    case 'unknown':
      return null;
  }
}
