/** From what an operator wrote down of each step, and what tools and app took alone, to rows that add up to the total. */
import { SETTLE_WINDOW_MS } from '../../../webhook/core/limits.ts';
import type { BenchRow } from './report.ts';

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

/** One part of a life (an open, an update, …), with what tools and app took of it alone. */
export interface MeasuredPart {
  /** By step, and `total`. */
  readonly times: Times;
  /** What tools and app took alone right before or after: the speed of a machine changes by the minute. */
  readonly alone: Times;
}

/** Names of what tools and app did in a step. One that goes on from a step into the next is named in both, and counted once. */
export type ToolsOf = (step: string) => readonly string[];

/**
 * Of several the one in which what is ours is in the middle, whole, so that its rows add up: one for what tools and app took of each stage, one for what is left
 * of it (ours), and the total, which is `times.total`, with the least and the most that ours was.
 */
export function rowsOf(kind: string, parts: readonly MeasuredPart[], toolsOf: ToolsOf): BenchRow[] {
  return middleOf(parts.map((part) => rowsOfSteps(kind, part, toolsOf)));
}

/** The same for something whose steps the operator does not write down: what each of the tools took, what is left of the total (ours), and the total. */
export function rowsOfWhole(kind: string, parts: readonly MeasuredPart[], tools: readonly string[]): BenchRow[] {
  return middleOf(
    parts.map(({ times, alone }) => {
      const total = times['total'] ?? Number.NaN;
      const rows = rowsOfStage(kind, total, new Budget(alone).take(tools, total));
      return [...rows, totalOf(kind, total, rows)];
    }),
  );
}

function rowsOfSteps(kind: string, { times, alone }: MeasuredPart, toolsOf: ToolsOf): BenchRow[] {
  const budget = new Budget(alone);
  const rows: BenchRow[] = [];
  let stepsMs = 0;
  for (const stage of STAGES) {
    const stageMs = Math.max(...stage.map((step) => times[step] ?? 0));
    stepsMs += stageMs;
    const tools = stage.filter((step) => step in times).flatMap((step) => toolsOf(step));
    rows.push(...rowsOfStage(`${kind}: ${stage.join(' + ')}`, stageMs, budget.take(tools, stageMs)));
  }
  const total = times['total'] ?? Number.NaN;
  rows.push(rowOf(`${kind}: intake, job, looking, between the steps, gateway`, total - stepsMs, true));
  return [...rows, totalOf(kind, total, rows)];
}

/** What is left of each tool's time: never more goes for it than it took alone. */
class Budget {
  readonly #left: Map<string, number>;

  constructor(alone: Times) {
    this.#left = new Map(Object.entries(alone));
  }

  /** Of these one after the other, together not more than `max`: they may take longer alone than they did that time. */
  take(names: readonly string[], max: number): [name: string, ms: number][] {
    let room = max;
    return names.map((name) => {
      const left = this.#left.get(name);
      if (left === undefined) throw new Error(`${name} was not measured alone`);
      const taken = Math.min(left, room);
      this.#left.set(name, left - taken);
      room -= taken;
      return [name, taken];
    });
  }
}

function rowsOfStage(
  subject: string,
  stageMs: number,
  tools: readonly (readonly [name: string, ms: number])[],
): BenchRow[] {
  const rows = tools.filter(([, ms]) => ms > 0).map(([name, ms]) => rowOf(`${subject}: ${name}`, ms, false));
  const left = tools.reduce((rest, [, ms]) => rest - ms, stageMs);
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

/** By the last row, which is the total. */
function middleOf(all: readonly BenchRow[][]): BenchRow[] {
  const oursOf = (rows: readonly BenchRow[]) => Number(rows.at(-1)?.['oursMs']);
  const sorted = all.toSorted((a, b) => oursOf(a) - oursOf(b));
  const middle = sorted[Math.floor(sorted.length / 2)] ?? [];
  const spread = { oursLeastMs: oursOf(sorted[0] ?? []), oursMostMs: oursOf(sorted.at(-1) ?? []) };
  return middle.map((row, at) => (at === middle.length - 1 ? { ...row, ...spread } : row));
}
