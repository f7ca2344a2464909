/** From what an operator wrote down of each step to rows that add up to the total. */
import { SETTLE_WINDOW_MS } from '../../../webhook/core/limits.ts';
import { median, type BenchRow } from './report.ts';

/** Milliseconds by name. */
export type Times = Readonly<Record<string, number>>;

/** A push within the settling window of the one before would be waited out, which is not what is measured. */
export const SETTLED_MS = SETTLE_WINDOW_MS + 100;

/** Steps that run side by side count as one, by the longest. */
const STAGES: readonly (readonly string[])[] = [
  ['claim-names'],
  ['open-route', 'fetch-source', 'create-instance'],
  ['read-manifest'],
  ['place-source', 'ensure-database', 'build-system'],
  ['set-up'],
  ['start'],
  ['check-health'],
  ['switch-route'],
];

export function medians(all: readonly Times[]): Times {
  const names = new Set(all.flatMap((each) => Object.keys(each)));
  return Object.fromEntries([...names].map((name) => [name, median(all.map((each) => each[name] ?? 0))]));
}

/**
 * A row for what tools and app took of each stage, one for what is left of it (ours), and the total, which is `times.total`. `toolsOf` says by name
 * what of a step is not ours; Infinity stands for all of it.
 */
export function rowsOf(
  kind: string,
  times: Times,
  toolsOf: (step: string) => [name: string, ms: number][],
): BenchRow[] {
  const rows: BenchRow[] = [];
  const row = (subject: string, ms: number, ours: boolean) =>
    rows.push({ subject: `${kind}: ${subject}`, ms: Math.round(ms * 10) / 10, ours });
  let stepsMs = 0;
  for (const stage of STAGES) {
    const stageMs = Math.max(...stage.map((step) => times[step] ?? 0));
    stepsMs += stageMs;
    let left = stageMs;
    for (const [name, ms] of stage.flatMap((step) => toolsOf(step))) {
      const taken = Math.min(left, ms);
      if (taken === 0) continue;
      left -= taken;
      row(`${stage.join(' + ')}: ${name}`, taken, false);
    }
    if (left > 0) row(stage.join(' + '), left, true);
  }
  const total = times['total'] ?? 0;
  row('intake, job, looking, between the steps, gateway', total - stepsMs, true);
  const ours = rows.filter((each) => each['ours'] === true).reduce((sum, each) => sum + Number(each['ms']), 0);
  const rounded = (ms: number) => Math.round(ms * 10) / 10;
  rows.push({ subject: `${kind}: total`, ms: rounded(total), ours: null, oursMs: rounded(ours) });
  return rows;
}
