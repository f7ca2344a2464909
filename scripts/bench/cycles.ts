/**
 * 500 lives of previews on the real stack, and what they leave (promise R10): test/host/inside/nothing-left.ts at its full length. Needs root and, on a busy
 * machine, a quarter of an hour.
 */
import { measuredInside } from './parts/inside-a-host.ts';
import { printMeasured } from './parts/report.ts';

const CYCLES = 500;

interface Cycles {
  readonly cycles: number;
  readonly sideBySide: number;
  readonly seconds: number;
  readonly classes: number;
  readonly left: number;
}

/** Measures and prints: JSON `{bench, machine, rows}` or a table. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    const measured = await measuredInside<Cycles>('nothing-left.ts', { BERTH_CYCLES: String(CYCLES) });
    return { bench: 'cycles', rounds: 1, rows: [...measured].map(([subject, row]) => ({ subject, ...row })) };
  });
}
