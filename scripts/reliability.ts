/** npm run reliability: runs everything that docs/reference/reliability.md quotes, and writes the page. */
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { closeEverywhere } from '../test/simulation/close-wins.ts';
import { tryAllOrders } from '../test/simulation/delivery-order.ts';
import { FAULT_KINDS } from '../test/simulation/faults.ts';
import { loseAllDeliveries } from '../test/simulation/lost-deliveries.ts';
import { checkMutation } from '../test/simulation/mutation-check.ts';
import { MUTATIONS } from '../test/simulation/mutations.ts';
import { runSchedules } from '../test/simulation/run-schedules.ts';
import { playRealWorld } from '../test/simulation/real-world.ts';

const PAGE = join(import.meta.dirname, '../docs/reference/reliability.md');
const SCHEDULES = 10_000;
/** Real histories play in real time, some twenty seconds each: `npm run reliability -- --real 200` takes an hour. */
const REAL_SCHEDULES = realSchedulesFrom(process.argv.slice(2));

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;

function realSchedulesFrom(words: readonly string[]): number {
  const { values } = parseArgs({ args: [...words], options: { real: { type: 'string', default: '20' } } });
  const count = Number(values.real);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new RangeError(`--real: "${values.real}" is not a whole number from 1 on`);
  return count;
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

async function measureAll() {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const faulty = await runSchedules({ schedules: SCHEDULES, seed, faults: FAULT_KINDS });
  const calm = await runSchedules({ schedules: SCHEDULES / 10, seed, faults: [] });
  const orders = await tryAllOrders({ histories: 50, seed });
  const close = await closeEverywhere(seed);
  const lost = await loseAllDeliveries({ histories: 200, seed });
  const verdicts = [];
  for (const mutation of MUTATIONS) verdicts.push(await checkMutation(mutation, { schedules: 500, seed: 1 }));
  const real = await playRealWorld({ schedules: REAL_SCHEDULES, seed });
  return { seed, faulty, calm, orders, close, lost, verdicts, real };
}

type Measured = Awaited<ReturnType<typeof measureAll>>;

function worldsTable({ faulty, calm, real }: Measured): string {
  return table(
    ['world', 'schedules', 'faults', 'divergences', 'schedules a second', 'crash points'],
    [
      [
        'simulated',
        faulty.schedules,
        'all',
        faulty.divergences,
        faulty.perSecond,
        `${faulty.crashPoints.covered} of ${faulty.crashPoints.total}`,
      ],
      ['simulated', calm.schedules, 'none', calm.divergences, calm.perSecond, '–'],
      [
        'real (PostgreSQL, git, processes, gateway; `kill -9` of the operator)',
        real.schedules,
        real.faults.join(', '),
        real.divergences,
        real.perSecond,
        '–',
      ],
    ],
  );
}

function pageOf(measured: Measured): string {
  const { seed, orders, close, lost, verdicts } = measured;
  return `# Reliability

Written by \`npm run reliability\`; seed ${seed}, ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), Node ${process.versions.node}. The
simulated world runs the real reconciler, planner, policy and jobs on a virtual clock; GitHub, host and state are simulated, and a contract
suite (\`test/contracts\`) holds the simulated state against PostgreSQL.

## The world converges (R1, R2, R3, R7)

Random histories of several repositories and pull requests, with operators that die before, inside and after every operation, lost, repeated and
swapped deliveries, GitHub failing or answering with old news, a host and a database that fail in the middle. Half of them run without
sweeps: then the deliveries alone have to do it.

${worldsTable(measured)}

\`npm run simulate -- --schedules ${SCHEDULES} --faults all\`, \`npm run simulate -- --world real --schedules ${REAL_SCHEDULES}\`

## Order does not matter (R4)

${table(['histories', 'orders tried', 'histories with more than one end state'], [[orders.histories, orders.permutations, orders.wrong.length]])}

## The sweep alone (R5)

${table(
  ['histories', 'deliveries lost', 'not converged', 'staleness p50', 'staleness max', 'sweep each'],
  [
    [
      lost.histories,
      'all',
      lost.notConverged.length,
      seconds(lost.stalenessMs.p50),
      seconds(lost.stalenessMs.max),
      seconds(lost.sweepIntervalMs),
    ],
  ],
)}

## Close wins (R6)

A close at every boundary of every operation of a bring-up and an update, and at twenty random moments after each. Times are virtual, with operations
of up to 40 ms and a setup of up to 4 s.

${table(['boundaries', 'runs', 'leftovers', 'close to gone p50', 'p99'], [[close.boundaries, close.runs, close.leftovers.length, seconds(close.goneMs.p50), seconds(close.goneMs.p99)]])}

## Deliberate bugs

Each is one small change of the real source; the simulator has 500 schedules to find it.

${table(
  ['bug', 'found', 'as'],
  verdicts.map((verdict) => [verdict.name, verdict.isFound ? 'yes' : '**no**', verdict.divergence]),
)}
`;
}

async function main(): Promise<void> {
  await writeFile(PAGE, pageOf(await measureAll()));
  console.log(`wrote ${PAGE}`);
}

await main();
