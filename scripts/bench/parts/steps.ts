/** From what an operator wrote down of each step to rows that add up to the total. */
import { SETTLE_WINDOW_MS } from '../../../webhook/core/limits.ts';
import { median, type BenchRow } from './report.ts';

/** Milliseconds by name. */
export type Times = Readonly<Record<string, number>>;

/** Does the work and keeps how long it took, under this name. */
export type Timed = <Result>(name: string, work: () => Promise<Result>) => Promise<Result>;

/** `times` is filled by `timed`. */
export function stopwatch(): { readonly times: Times; readonly timed: Timed } {
  const times: Record<string, number> = {};
  const timed: Timed = async (name, work) => {
    const startedAt = performance.now();
    const result = await work();
    times[name] = performance.now() - startedAt;
    return result;
  };
  return { times, timed };
}

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
 * what of a step is not ours.
 */
export function rowsOf(
  kind: string,
  times: Times,
  toolsOf: (step: string) => [name: string, ms: number][],
): BenchRow[] {
  const rows: BenchRow[] = [];
  let stepsMs = 0;
  for (const stage of STAGES) {
    const stageMs = Math.max(...stage.map((step) => times[step] ?? 0));
    stepsMs += stageMs;
    const tools = stage.filter((step) => step in times).flatMap((step) => toolsOf(step));
    rows.push(...partsOf(`${kind}: ${stage.join(' + ')}`, stageMs, tools));
  }
  const total = times['total'] ?? 0;
  rows.push(rowOf(`${kind}: intake, job, looking, between the steps, gateway`, total - stepsMs, true));
  return [...rows, totalOf(kind, total, rows)];
}

/** The same for something whose steps the operator does not write down: what the tools took, what is left of the total (ours), and the total. */
export function rowsOfWhole(
  kind: string,
  total: number,
  tools: readonly (readonly [name: string, ms: number])[],
): BenchRow[] {
  const rows = partsOf(kind, total, tools);
  return [...rows, totalOf(kind, total, rows)];
}

/** Never more for the tools than there was: they may take longer alone than they did that time. */
function partsOf(subject: string, total: number, tools: readonly (readonly [name: string, ms: number])[]): BenchRow[] {
  const rows: BenchRow[] = [];
  let left = total;
  for (const [name, ms] of tools) {
    const taken = Math.min(left, ms);
    if (taken > 0) rows.push(rowOf(`${subject}: ${name}`, taken, false));
    left -= taken;
  }
  if (left > 0) rows.push(rowOf(rows.length === 0 ? subject : `${subject}: the rest`, left, true));
  return rows;
}

const rounded = (ms: number) => Math.round(ms * 10) / 10;

function rowOf(subject: string, ms: number, ours: boolean): BenchRow {
  return { subject, ms: rounded(ms), ours };
}

function totalOf(kind: string, total: number, rows: readonly BenchRow[]): BenchRow {
  const ours = rows.filter((each) => each['ours'] === true).reduce((sum, each) => sum + Number(each['ms']), 0);
  return { subject: `${kind}: total`, ms: rounded(total), ours: null, oursMs: rounded(ours) };
}
