/**
 * Routes on the real stack, with 10, 100, 1,000 and 5,000 previews, a hundred of each repository: how long a switch takes, a new route and a
 * close, with what was lost of 1,000 requests a second and of open streams meanwhile; and the request rate of the first, the middle and the last host
 * name. `MaxWaitedMs` is how long the makers of the longest change waited for a core, `MaxOnACoreMs` the longest without such waits.
 *
 * Each number has a test host of its own, and all are up at once: a rate among many is taken right beside one among the fewest, a second each, because
 * the machine's speed changes from one half minute to the next. `…OfFewest` is the middle of those pairs' quotients, with its quarters. The fewest are
 * measured beside themselves too: what is not 1 there is the machine. Needs root.
 */
import { join, resolve } from 'node:path';
import { bringUpTestHost, type TestHost } from '../../test/host/test-host.ts';
import { median, printMeasured, type BenchRow } from './parts/report.ts';
import { hostNameOf } from './routes/previews-by-number.ts';

/** Of each change. */
const ROUNDS = 40;
/** Of each rate. */
const PAIRS = 15;
const SECONDS = 1;
const CONNECTIONS = 16;
/** BERTH_COUNTS=10,100 measures only these, the fewest first. */
const COUNTS = (process.env['BERTH_COUNTS'] ?? '10,100,1000,5000').split(',').map(Number);

const script = join(resolve(import.meta.dirname), 'routes/previews.ts');
const autocannon = resolve(import.meta.dirname, '../../node_modules/autocannon/autocannon.js');

/** Which host name is asked for among so many. */
const POSITIONS = {
  first: () => 1,
  middle: (count: number) => Math.ceil(count / 2),
  last: (count: number) => count,
};
type Position = keyof typeof POSITIONS;

interface Filled {
  readonly count: number;
  readonly host: TestHost;
  readonly changes: BenchRow;
}

/** Requests a second among the fewest and among `count`, one right after the other. */
interface Pair {
  readonly count: number;
  readonly position: Position;
  readonly few: number;
  readonly many: number;
}

/** Measures and prints: JSON `{bench, machine, rows}` or a table. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    await using hosts = new AsyncDisposableStack();
    const filled: Filled[] = [];
    for (const count of COUNTS) {
      const host = hosts.use(await bringUpTestHost());
      const measured = await host.run(['node', script, String(count), String(ROUNDS)], { cwd: '/tmp' });
      const changes = JSON.parse(measured.stdout.split('\n').at(-1) ?? '') as BenchRow;
      filled.push({ count, host, changes });
    }
    const pairs = await ratesBesideTheFewest(filled);
    const rows = filled.map(({ count, changes }) => ({ ...changes, ...ratesAmong(count, pairs) }));
    return { bench: 'routes', rounds: ROUNDS, rows };
  });
}

async function ratesBesideTheFewest(filled: readonly Filled[]): Promise<Pair[]> {
  const [fewest] = filled;
  if (fewest === undefined) return [];
  const pairs: Pair[] = [];
  for (let round = 0; round < PAIRS; round += 1)
    for (const each of filled)
      for (const position of Object.keys(POSITIONS) as Position[]) {
        const few = () => rateOf(fewest, position);
        const many = () => rateOf(each, position);
        // Who goes first changes.
        const rates =
          round % 2 === 0 ? { few: await few(), many: await many() } : { many: await many(), few: await few() };
        pairs.push({ count: each.count, position, ...rates });
      }
  return pairs;
}

/** Requests a second that were answered with 200. */
async function rateOf({ host, count }: Filled, position: Position): Promise<number> {
  const hostName = hostNameOf(POSITIONS[position](count));
  const load = ['-c', String(CONNECTIONS), '-d', String(SECONDS), '-n', '--json'];
  const { stdout } = await host.run(['node', autocannon, ...load, '-H', `Host: ${hostName}`, 'http://127.0.0.1/']);
  return (JSON.parse(stdout) as { '2xx': number })['2xx'] / SECONDS;
}

function ratesAmong(count: number, pairs: readonly Pair[]): Record<string, number | string> {
  const byPosition = Map.groupBy(
    pairs.filter((pair) => pair.count === count),
    (pair) => pair.position,
  );
  const figures = [...byPosition].map(([position, found]) => {
    const quotients = found.map(({ few, many }) => many / few).toSorted((a, b) => a - b);
    const quarter = Math.floor(quotients.length / 4);
    const [lower, upper] = [quotients[quarter], quotients.at(-1 - quarter)].map((each) => each?.toFixed(2));
    return {
      [`${position}PerSecond`]: Math.round(median(found.map(({ many }) => many))),
      [`${position}OfFewest`]: Number(median(quotients).toFixed(2)),
      [`${position}OfFewestQuarters`]: `${lower} to ${upper}`,
    };
  });
  return Object.assign({}, ...figures) as Record<string, number | string>;
}
