/** npm run reliability: runs everything that docs/reference/reliability.md quotes, and writes the page. */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { closeEverywhere } from '../test/simulation/close-wins.ts';
import { tryAllOrders } from '../test/simulation/delivery-order.ts';
import { FAULT_KINDS } from '../test/simulation/faults.ts';
import { loseAllDeliveries } from '../test/simulation/lost-deliveries.ts';
import { checkMutation } from '../test/simulation/mutation-check.ts';
import { MUTATIONS } from '../test/simulation/mutations.ts';
import { playRealWorld, type RealWorldResult } from '../test/simulation/real-world.ts';
import { runSchedules } from '../test/simulation/run-schedules.ts';
import { aRealService, type RealService } from '../test/support/a-real-service.ts';
import { openAtOnce, pushAHundredTimes } from '../test/support/back-pressure.ts';
import { liveBesidePoisons, PLACES_KEPT } from '../test/support/poisoned-previews.ts';
import { pageOf, type Measured } from './reliability/page.ts';

const USAGE = `npm run reliability -- [--real N|FILE]

Runs everything that docs/reference/reliability.md quotes, and writes the page: ten minutes, and six for each hundred real histories.

  --real N      play so many histories in the real world (default 200)
  --real FILE   take the result of npm run simulate -- --world real --json instead
  --help        this text`;

const PAGE = join(import.meta.dirname, '../docs/reference/reliability.md');
const SCHEDULES = 10_000;
/** Of `limits.concurrency`, where nobody sets it. */
const PLACES = 4;
const CROWD = { large: 280, small: 10 };

async function realWorldOf(from: string, seed: number): Promise<RealWorldResult> {
  if (!/^\d+$/.test(from)) return JSON.parse(await readFile(from, 'utf8')) as RealWorldResult;
  return playRealWorld({ world: 'real', schedules: Number(from), seed, onProgress: say });
}

async function measureAll(real: string): Promise<Measured> {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const load = loadavg()[0]?.toFixed(1) ?? 'unknown';
  const machine = `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}) with a load of ${load} before it began, Node ${process.versions.node}`;
  const faulty = await told('simulated, all faults', () =>
    runSchedules({ schedules: SCHEDULES, seed, faults: FAULT_KINDS }),
  );
  const calm = await told('simulated, no faults', () => runSchedules({ schedules: SCHEDULES / 10, seed, faults: [] }));
  const orders = await told('orders', () => tryAllOrders({ histories: 50, seed }));
  const close = await told('close wins', () => closeEverywhere(seed));
  const lost = await told('lost deliveries', () => loseAllDeliveries({ histories: 200, seed }));
  const verdicts = await told('deliberate bugs', checkMutations);
  const pushes = await told('a hundred pushes', () => onAService(PLACES, pushAHundredTimes));
  const opened = await told('a crowd', () => onAService(PLACES, (service) => openAtOnce(service, CROWD)));
  const crowd = { ...opened, places: PLACES };
  const poisoned = await told('poisoned previews', besidePoisons);
  const world = await told('the real world', () => realWorldOf(real, seed));
  return { seed, machine, faulty, calm, real: world, verdicts, orders, lost, close, pushes, crowd, poisoned };
}

async function checkMutations(): Promise<Measured['verdicts']> {
  const verdicts = [];
  for (const mutation of MUTATIONS) verdicts.push(await checkMutation(mutation, { schedules: 500, seed: 1 }));
  return verdicts;
}

async function besidePoisons(): Promise<Measured['poisoned']> {
  const run = (places: number) => onAService(places, liveBesidePoisons);
  return { onePlaceFree: await run(PLACES_KEPT + 1), noPlaceFree: await run(PLACES_KEPT) };
}

async function onAService<Result>(
  concurrency: number,
  work: (service: RealService) => Promise<Result>,
): Promise<Result> {
  await using service = await aRealService({ concurrency });
  return await work(service);
}

async function told<Result>(what: string, measure: () => Promise<Result>): Promise<Result> {
  const startedAt = performance.now();
  const result = await measure();
  say(`${what}: ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  return result;
}

function say(line: string): void {
  console.error(line);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { real: { type: 'string', default: '200' }, help: { type: 'boolean', default: false } },
  });
  if (values.help) return console.log(USAGE);
  await writeFile(PAGE, pageOf(await measureAll(values.real)));
  console.log(`wrote ${PAGE}`);
}

await main();
