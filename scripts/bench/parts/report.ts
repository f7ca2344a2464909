import { cpus, loadavg } from 'node:os';

/** One subject's figures; their names end in their units. */
export interface BenchRow {
  readonly subject: string;
  readonly [figure: string]: string | number | boolean | null;
}

interface Measured {
  readonly bench: string;
  /** How often each subject was measured; figures are medians. */
  readonly rounds: number;
  readonly rows: readonly BenchRow[];
  /** More about the machine: versions of what was measured beside us. */
  readonly machine?: Readonly<Record<string, string | number>>;
}

/** Measures and prints `{bench, machine, rows}` as JSON, or a table. The load of the machine before and after tells how far to believe it. */
export async function printMeasured(json: boolean, measure: () => Promise<Measured>): Promise<void> {
  const loadBefore = loadAverage();
  const { bench, rounds, rows, machine: more } = await measure();
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    node: process.version,
    loadBefore,
    loadAfter: loadAverage(),
    rounds,
    ...more,
  };
  if (json) {
    console.log(JSON.stringify({ bench, machine, rows }, null, 2));
    return;
  }
  console.log(
    Object.entries({ bench, ...machine })
      .map(([name, value]) => `${name} ${value}`)
      .join(' · '),
  );
  console.table(rows);
}

function loadAverage(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2));
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
