import { hostLabelOf } from '../core/names.ts';
import { answeringInstance, type PreviewRecord } from '../core/preview.ts';
import type { PreviewKey } from '../core/pull-request.ts';
import { GONE_REPORT, reportFrom, whileTelling } from '../core/report.ts';
import type { Operator } from '../ports.ts';
import { hostLabelsOf } from '../reconcile/bring-up.ts';

/**
 * Tells the pull request what is so now, whatever it was when the job was asked for: the newest state wins. Its own job, so that GitHub being
 * away holds no preview up. Throws the GITHUB_* errors; the queue then tries again.
 */
export async function reportTask(
  op: Pick<Operator, 'store' | 'reports' | 'routes'>,
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
  const known = {
    ...(told ?? { key, commentId: null, commentHash: null, status: null, lookAskedAt: null, lookedAt: null }),
    repository,
  };
  const report = record === null ? GONE_REPORT : reportFrom(record, urlsOf(op, record));
  if (told === null && !report.mayCreate) return;
  // What may be said is written down first: a try that is cut off must neither be forgotten nor be taken for one that said nothing.
  const before = whileTelling(known, report);
  if (before.commentHash !== told?.commentHash || before.status !== told.status) await op.store.saveReport(before);
  await op.store.saveReport(await op.reports.ensure(before, report, signal));
}

/** The URLs of a preview, the main one first. */
function urlsOf(op: Pick<Operator, 'routes'>, record: PreviewRecord): string[] {
  if (record.slug === null) return [];
  const manifest = answeringInstance(record)?.manifest ?? null;
  const labels = manifest === null ? [hostLabelOf(record.slug)] : hostLabelsOf(record.slug, manifest);
  return labels.map((label) => op.routes.addressOf(label).url);
}
