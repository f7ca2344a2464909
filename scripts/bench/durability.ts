/**
 * Durability in larger figures than a test has time for (promise R1): kills at every system call of the request path, random kills under load, and the order
 * of commit and acknowledgement. What was lost has to be 0; how long an operator is away after a kill is what varies.
 */
import { randomInt } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '../../test/simulation/random.ts';
import { traceAcknowledgements } from '../../test/support/durability/acknowledgement-order.ts';
import { crashAtEverySyscall } from '../../test/support/durability/crash-at-every-syscall.ts';
import { killUnderLoad } from '../../test/support/durability/kill-under-load.ts';
import { straceMissing } from '../../test/support/durability/strace.ts';
import { startTestServer } from '../../test/support/test-server.ts';
import { median, printMeasured, type BenchRow } from './parts/report.ts';

/** BERTH_BENCH_KILLS sets how often the operator is killed: some three seconds each. */
const KILLS = Number(process.env['BERTH_BENCH_KILLS'] ?? 100);
const PER_SECOND = 50;
const TRACED = 1_000;

export async function run({ json }: { json: boolean }): Promise<void> {
  const missing = straceMissing();
  if (missing !== false) throw new Error(`This needs ${missing}.`);
  const seed = randomInt(2 ** 31);
  await printMeasured(json, async () => ({
    bench: 'durability',
    rounds: 1,
    rows: [...(await crashes(true)), ...(await crashes(false)), await order(), ...(await kills(seed))],
    machine: { seed },
  }));
}

async function crashes(isWarm: boolean): Promise<BenchRow[]> {
  const server = await startTestServer();
  try {
    const rows = await crashAtEverySyscall({ databaseUrl: server.url, isWarm });
    return rows.map(({ syscall, ...figures }) => ({
      subject: `killed at each ${syscall}${isWarm ? '' : ' of the first requests'}`,
      ...figures,
    }));
  } finally {
    await server.stop();
  }
}

async function order(): Promise<BenchRow> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  await chmod(folder, 0o755);
  try {
    const { acknowledged, inOrder, fsync, synchronousCommit } = await traceAcknowledgements(folder, TRACED);
    return { subject: 'flushed and committed before the 202', acknowledged, inOrder, fsync, synchronousCommit };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function kills(seed: number): Promise<BenchRow[]> {
  const { restartMs, pickUpMs, ...figures } = await killUnderLoad({
    kills: KILLS,
    perSecond: PER_SECOND,
    random: new SeededRandom(seed),
  });
  return [
    { subject: `killed at random under ${PER_SECOND} requests a second`, ...figures },
    { subject: 'from the kill until ready', times: restartMs.length, ...spread(restartMs) },
    { subject: 'from ready until interrupted work is picked up', times: pickUpMs.length, ...spread(pickUpMs) },
  ];
}

function spread(all: readonly number[]): { medianMs: number; maxMs: number } {
  return { medianMs: median(all), maxMs: Math.max(...all) };
}
