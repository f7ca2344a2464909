/** Every kind of poison beside one healthy preview on the real stack (promise R8): test/host/inside/poisons.ts at its full length. Needs root and some minutes. */
import { measuredInside } from './parts/inside-a-host.ts';
import { printMeasured } from './parts/report.ts';

/** Measures and prints: JSON `{bench, machine, rows}` or a table. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    const measured = await measuredInside<Record<string, number>>('poisons.ts', { BERTH_POISONS: 'all' });
    return { bench: 'poisons', rounds: 1, rows: [...measured].map(([subject, row]) => ({ subject, ...row })) };
  });
}
