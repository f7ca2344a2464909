/**
 * Routes on the real stack, with 10, 100, 1,000 and 5,000 previews: how long a switch takes, a new route and a close, with what was lost of 1,000
 * requests a second meanwhile; and the request rate of the first and the last host name. On a test host of its own; needs root.
 */
import { join, resolve } from 'node:path';
import { bringUpTestHost } from '../../test/host/test-host.ts';
import { printMeasured, type BenchRow } from './report.ts';

const ROUNDS = 20;
/** BERTH_COUNTS=10,100 measures only these. */
const COUNTS = (process.env['BERTH_COUNTS'] ?? '10,100,1000,5000').split(',').map(Number);

/** Measures and prints: JSON `{bench, machine, rows}` or a table. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    const script = join(resolve(import.meta.dirname), 'routes/previews.ts');
    const rows: BenchRow[] = [];
    for (const count of COUNTS) {
      await using host = await bringUpTestHost();
      const measured = await host.run(['node', script, String(count), String(ROUNDS)], { cwd: '/tmp' });
      rows.push(JSON.parse(measured.stdout.split('\n').at(-1) ?? '') as BenchRow);
    }
    return { bench: 'routes', rounds: ROUNDS, rows };
  });
}
