import { isDeepStrictEqual } from 'node:util';
import { hostLabelOf } from '../core/names.ts';
import { answeringInstance, type PreviewRecord } from '../core/preview.ts';
import type { PreviewKey } from '../core/pull-request.ts';
import { nothingTold, unfinishedIn, whileTelling, type ReportRecord } from '../core/report-record.ts';
import { goneReport, reportFrom, type Report } from '../core/report.ts';
import type { Operator } from '../ports.ts';
import { hostLabelsOf } from '../reconcile/bring-up.ts';

/**
 * Tells the pull request what is so now, whatever it was when the job was asked for: the newest state wins. Its own job, so that GitHub being
 * away holds no preview up. Throws the GITHUB_* errors; the queue then tries again.
 */
export async function reportTask(
  op: Pick<Operator, 'store' | 'reports' | 'routes' | 'clock'>,
  key: PreviewKey,
  signal: AbortSignal,
): Promise<void> {
  // A branch without a pull request has nobody to tell.
  if (key.subject.kind === 'branch') return;
  const [record, told] = await Promise.all([op.store.load(key), op.store.loadReport(key)]);
  // Gone before anything was ever said: nothing to say.
  if (record === null && told === null) return;
  const repository = record?.repository ?? told?.repository;
  if (repository === undefined) return;
  const unfinished = told === null ? null : unfinishedIn(told);
  const report = record === null ? goneReport(unfinished) : reportFrom(record, urlsOf(op, record));
  if (told === null && !report.mayCreate) return;
  const known = { ...(told ?? nothingTold(key, repository)), repository };
  const after = await tell(op, known, report, signal);
  // Somebody deleted our comment. Only now that this is on record another one may be made: a try that is cut off can be found.
  if (after.commentHash === null) await tell(op, after, report, signal);
}

/** What may be said is written down first: a try that is cut off must neither be forgotten nor be taken for one that said nothing. */
async function tell(
  op: Pick<Operator, 'store' | 'reports' | 'clock'>,
  known: ReportRecord,
  report: Report,
  signal: AbortSignal,
): Promise<ReportRecord> {
  const before = whileTelling(known, report, op.clock.now());
  if (!isDeepStrictEqual(before, known)) await op.store.saveReport(before);
  const after = await op.reports.ensure(before, report, signal);
  await op.store.saveReport(after);
  return after;
}

/** The URLs of a preview, the main one first. */
function urlsOf(op: Pick<Operator, 'routes'>, record: PreviewRecord): string[] {
  if (record.slug === null) return [];
  const manifest = answeringInstance(record)?.manifest ?? null;
  const labels = manifest === null ? [hostLabelOf(record.slug)] : hostLabelsOf(record.slug, manifest);
  return labels.map((label) => op.routes.addressOf(label).url);
}
