/**
 * Routes on the real stack, with 10, 100, 1,000 and 5,000 previews, a hundred of each repository: how long a switch takes, a new route and a
 * close, with what was lost of 1,000 requests a second and of open streams meanwhile; and the request rate of the first, the middle and the last host
 * name, beside the app's own without Caddy. `MaxWaitedMs` is how long the makers of the longest change waited for a core, `MaxOnACoreMs` the longest without such waits. On a test host of its own; needs root.
 */
import { join, resolve } from 'node:path';
import { bringUpTestHost } from '../../test/host/test-host.ts';
import { printMeasured, type BenchRow } from './parts/report.ts';

const ROUNDS = 40;
/** BERTH_COUNTS=10,100 measures only these. */
const COUNTS = process.env['BERTH_COUNTS'] ?? '10,100,1000,5000';

/** Measures and prints: JSON `{bench, machine, rows}` or a table. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    const script = join(resolve(import.meta.dirname), 'routes/previews.ts');
    await using host = await bringUpTestHost();
    const measured = await host.run(['node', script, COUNTS, String(ROUNDS)], { cwd: '/tmp' });
    return {
      bench: 'routes',
      rounds: ROUNDS,
      rows: JSON.parse(measured.stdout.split('\n').at(-1) ?? '') as BenchRow[],
    };
  });
}
