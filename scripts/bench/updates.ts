/**
 * 50 updates in a row under 1,000 requests a second, and 50 kills of the operator, on the real stack: test/host/inside/updates.ts at its full length.
 * How many requests failed of how many. On a test host of its own; needs root and some minutes.
 */
import { measuredInside } from './parts/inside-a-host.ts';
import { printMeasured } from './parts/report.ts';

const TIMES = 50;
const PER_SECOND = 1_000;

interface Counted {
  readonly requests: number;
  readonly failed: number;
  readonly failures: readonly string[];
}

/** Measures and prints: JSON `{bench, machine, rows}` or a table. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    const env = { BERTH_UPDATES: String(TIMES), BERTH_KILLS: String(TIMES), BERTH_RATE: String(PER_SECOND) };
    const rows = Array.from(await measuredInside<Counted>('updates.ts', env), ([subject, counted]) => ({
      subject: `${TIMES} ${subject}`,
      perSecond: PER_SECOND,
      requests: counted.requests,
      failed: counted.failed,
      failures: counted.failures.join('; '),
    }));
    return { bench: 'updates', rounds: 1, rows };
  });
}
