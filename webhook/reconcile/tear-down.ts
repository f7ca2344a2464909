/** The steps that take things away. Absence is success; each may be repeated and cut off anywhere. */
import { DRAIN_LIMIT_MS, DRAIN_POLL_MS } from '../core/limits.ts';
import { databaseNameOf, type InstanceName } from '../core/names.ts';
import { DONE, type StepResult } from '../core/outcome.ts';
import { instanceNamed, type PreviewRecord } from '../core/preview.ts';
import type { Operator, PreviewLock } from '../ports.ts';

export interface TearDown {
  readonly lock: PreviewLock;
  readonly record: PreviewRecord;
  /** Of the look that the removal follows from. */
  readonly generation: number;
}

/** Stops a replaced or failed instance once it has answered what it was asked. It can be started again by a rollback. */
export async function retire(
  op: Pick<Operator, 'runtime' | 'routes' | 'clock'>,
  work: TearDown,
  name: InstanceName,
): Promise<StepResult> {
  const draining = await drainingFor(op, work.record, name);
  if (draining !== null) return draining;
  await op.runtime.stop(name);
  return DONE;
}

/** Removes an instance that is not needed any more, once it has answered what it was asked; at a close it is not waited for. */
export async function discard(
  op: Pick<Operator, 'store' | 'runtime' | 'routes' | 'clock'>,
  work: TearDown & { readonly drain: boolean },
  name: InstanceName,
): Promise<StepResult> {
  const draining = work.drain ? await drainingFor(op, work.record, name) : null;
  if (draining !== null) return draining;
  await op.store.saveInstance(work.lock, name, { discardedAt: op.clock.now() });
  await op.runtime.remove(name);
  await op.store.removeInstance(work.lock, name);
  return DONE;
}

async function drainingFor(
  op: Pick<Operator, 'routes' | 'clock'>,
  record: PreviewRecord,
  name: InstanceName,
): Promise<StepResult | null> {
  const retiredAt = instanceNamed(record, name)?.retiredAt ?? null;
  if (record.slug === null || retiredAt === null) return null;
  if (op.clock.now().getTime() - retiredAt.getTime() >= DRAIN_LIMIT_MS) return null;
  const inFlight = await op.routes.inFlight(record.slug, name);
  return inFlight === 0
    ? null
    : { kind: 'waiting', reason: `${inFlight} requests in flight`, retryAfterMs: DRAIN_POLL_MS };
}

export async function removeRoute(op: Pick<Operator, 'routes'>, work: TearDown): Promise<StepResult> {
  if (work.record.slug !== null) await op.routes.remove(work.record.slug);
  return DONE;
}

export async function removeDatabase(op: Pick<Operator, 'store' | 'databases'>, work: TearDown): Promise<StepResult> {
  if (work.record.slug !== null) await op.databases.remove(databaseNameOf(work.record.slug));
  await op.store.saveDatabase(work.lock, null);
  return DONE;
}

/** The last step: the record itself goes, unless something was asked since the look that this removal follows from. */
export async function forget(op: Pick<Operator, 'store'>, work: TearDown): Promise<StepResult> {
  const isForgotten = await op.store.forget(work.lock, work.generation);
  return isForgotten ? DONE : { kind: 'waiting', reason: 'something new was asked', retryAfterMs: 0 };
}
