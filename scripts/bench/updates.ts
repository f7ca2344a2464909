/**
 * 50 updates in a row under 1,000 requests a second, and 50 kills of the operator, on the real stack: test/host/inside/updates.ts at its full length.
 * How many requests failed of how many. On a test host of its own; needs root and some minutes.
 */
import { join, resolve } from 'node:path';
import { bringUpTestHost } from '../../test/host/test-host.ts';
import { printMeasured, type BenchRow } from './report.ts';

const TIMES = 50;
const PER_SECOND = 1_000;

/** Measures and prints: JSON `{bench, machine, rows}` or a table. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    await using host = await bringUpTestHost();
    const file = join(resolve(import.meta.dirname, '../..'), 'test/host/inside/updates.ts');
    const env = { BERTH_UPDATES: String(TIMES), BERTH_KILLS: String(TIMES), BERTH_RATE: String(PER_SECOND) };
    const measured = await host.run(['node', '--test', '--test-reporter=spec', file], {
      cwd: '/tmp',
      env,
      reject: false,
    });
    const rows = measured.stdout.split('\n').flatMap((line): BenchRow[] => {
      const [, subject, counted] = /^(updates|kills): (\{.*\})$/.exec(line) ?? [];
      if (subject === undefined || counted === undefined) return [];
      const { requests, failed, failures } = JSON.parse(counted) as {
        requests: number;
        failed: number;
        failures: string[];
      };
      return [
        { subject: `${TIMES} ${subject}`, perSecond: PER_SECOND, requests, failed, failures: failures.join('; ') },
      ];
    });
    if (rows.length < 2) throw new Error(measured.stdout.slice(-4_000));
    return { bench: 'updates', rounds: 1, rows };
  });
}
