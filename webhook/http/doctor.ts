/** Compares what is recorded, what is wanted and what is there; with `fix`, asks for what is missing and removes what is nobody's. */
import { operatorErrorFrom } from '../core/errors.ts';
import { DISK_DEFAULT_MIB, HOST_DISK_RESERVE_MIB } from '../core/limits.ts';
import { explainPlan, planFor } from '../core/plan.ts';
import { phaseOf, type PreviewRecord } from '../core/preview.ts';
import type { DoctorFinding, DoctorView } from '../core/preview-view.ts';
import { keyText } from '../core/pull-request.ts';
import type { RouteDefect } from '../core/preview-route.ts';
import type { Operator } from '../ports.ts';
import { lookAtPreview } from '../reconcile/observe.ts';
import { findOrphans, removeOrphan, type Orphan } from '../reconcile/sweep.ts';

const WITH_ARTICLE = {
  instance: 'an instance',
  database: 'a database',
  template: 'a template database',
  route: 'a route',
  'route file': 'a route file',
} as const;

/** Previews that are looked at side by side: each is one request to GitHub. */
const LOOKS_AT_ONCE = 8;

export async function examine(op: Operator, fix: boolean, signal: AbortSignal): Promise<DoctorView> {
  const orphans = await findOrphans(op);
  const records = await op.store.list();
  const findings: DoctorFinding[] = [];
  for (const orphan of orphans) findings.push(await examineOrphan(op, orphan, fix));
  for (const defect of await op.routes.defects())
    if (defect.kind === 'changed') findings.push(await examineRouteFile(defect, fix));
  for (let first = 0; first < records.length; first += LOOKS_AT_ONCE) {
    const some = records.slice(first, first + LOOKS_AT_ONCE);
    findings.push(...(await Promise.all(some.map((record) => examinePreview(op, record, { fix, signal })))).flat());
  }
  findings.push(...(await examineDisk(op)));
  return { previews: records.length, findings, isFixed: fix };
}

/** What the next preview of the usual size would be told. */
async function examineDisk(op: Pick<Operator, 'runtime'>): Promise<DoctorFinding[]> {
  const found = { kind: 'host', about: 'disk', fix: null } as const;
  try {
    const room = await op.runtime.diskRoom();
    if (room === null || room.freeMiB >= DISK_DEFAULT_MIB + HOST_DISK_RESERVE_MIB) return [];
    const { freeMiB, unfilledMiB } = room;
    const message = `${freeMiB} MiB are left, and its previews may still take ${unfilledMiB}; a new one of ${DISK_DEFAULT_MIB} MiB has no room and waits`;
    return [{ ...found, message }];
  } catch (error) {
    return [{ ...found, kind: 'unknown', message: operatorErrorFrom(error).message }];
  }
}

async function examineOrphan(op: Operator, orphan: Orphan, fix: boolean): Promise<DoctorFinding> {
  const message = `${WITH_ARTICLE[orphan.kind]} that belongs to no preview`;
  const found = { kind: 'orphan', about: orphan.name, message } as const;
  const { kind, keptAs } = orphan;
  if (!fix) return { ...found, fix: keptAs === undefined ? `remove the ${kind}` : `set it aside as ${keptAs}` };
  const done = keptAs === undefined ? 'removed' : `set aside as ${keptAs}`;
  const remove = async () => ((await removeOrphan(op, orphan)) ? done : 'left: somebody else has it by now');
  return mended(remove, found, 'removing it failed');
}

async function examineRouteFile({ file, mend }: RouteDefect, fix: boolean): Promise<DoctorFinding> {
  const found = { kind: 'drift', about: file, message: 'a file of the routes is not as it was written' } as const;
  if (!fix) return { ...found, fix: 'write it again' };
  return mended(() => mend().then(() => 'written again'), found, 'writing it failed');
}

/** The finding with what the act says it did, or why it failed. */
async function mended(
  act: () => Promise<string>,
  found: Omit<DoctorFinding, 'fix'>,
  what: string,
): Promise<DoctorFinding> {
  try {
    return { ...found, fix: await act() };
  } catch (error) {
    return { ...found, message: `${found.message}; ${what}: ${operatorErrorFrom(error).message}`, fix: null };
  }
}

async function examinePreview(
  op: Operator,
  record: PreviewRecord,
  options: { fix: boolean; signal: AbortSignal },
): Promise<DoctorFinding[]> {
  const about = record.slug ?? keyText(record.key);
  const phase = phaseOf(record);
  const failed: DoctorFinding[] =
    phase.name === 'failed'
      ? [{ kind: 'failed', about, message: `${phase.failure.code}: ${phase.failure.message}`, fix: null }]
      : [];
  try {
    const look = await lookAtPreview(op, record, options.signal);
    if (look.problem !== null) return [...failed, { kind: 'unknown', about, message: look.problem.message, fix: null }];
    const steps = explainPlan(planFor(look.desired, record, look.world, op.clock.now()));
    // A step under way is no drift: somebody is on it.
    if (steps.length === 0 || record.doing !== null) return failed;
    if (options.fix) await op.store.request(record.key, record.repository);
    return [
      ...failed,
      { kind: 'drift', about, message: steps.join('; '), fix: options.fix ? 'asked for' : 'do these steps' },
    ];
  } catch (error) {
    return [...failed, { kind: 'unknown', about, message: operatorErrorFrom(error).message, fix: null }];
  }
}
