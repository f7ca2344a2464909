/** Promise R1 (a): the listener is killed at every system call of the request path that writes or waits, and nothing acknowledged is lost. */
import { Agent } from 'node:http';
import { startIntakeProcess } from './intake-process.ts';
import { acknowledgedOf, lostOf, send, withoutJobOf, type SentDelivery } from './sent-deliveries.ts';
import { attachStrace } from './strace.ts';

/** How bytes leave the process, how it waits for them, and how it hears of them. */
const SYSCALLS = ['epoll_pwait', 'write', 'writev', 'io_uring_enter', 'epoll_ctl', 'sendto', 'sendmsg', 'fdatasync'];

const REPOSITORY_ID = 42;

/** Longest first. Each kill is a process that starts; more at a time are no faster on two cores. */
const LANES = 2;

/** Far more than the requests need; a loop that gets there would never end. */
const CALLS_MAX = 500;

export interface CrashRow {
  readonly syscall: string;
  /** At how many calls it was killed: each up to the first that no run came to. */
  readonly kills: number;
  readonly sent: number;
  readonly acknowledged: number;
  /** Acknowledged, and either the delivery or its job is not in PostgreSQL after the restarts. */
  readonly lost: number;
}

interface CrashOptions {
  /** Empty or not, but nobody else's. */
  readonly databaseUrl: string;
  /** Whether it has taken a delivery before, so that the intake's connection to PostgreSQL is there already. */
  readonly isWarm: boolean;
}

/** Kills it at each; two kinds of system call are gone through side by side. */
export async function crashAtEverySyscall(options: CrashOptions): Promise<CrashRow[]> {
  const { databaseUrl } = options;
  const numbers = countFrom(1);
  const lanes: Awaited<ReturnType<typeof crashAtEach>>[] = [];
  const left = [...SYSCALLS];
  const work = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift())
      lanes.push(await crashAtEach(next, options, numbers));
  };
  await Promise.all(Array.from({ length: LANES }, work));
  // Once more, whole: what it finds at its start is what the last kill left.
  await using process = await startIntakeProcess(databaseUrl);
  const after = await deliver(process.port, numbers, [2, 1]);
  const all = [...lanes.flatMap(({ sent }) => sent), ...after];
  const lost = new Set([...(await lostOf(databaseUrl, all)), ...(await withoutJobOf(databaseUrl, all))]);
  return lanes.map(({ syscall, kills, sent }) => ({
    syscall,
    kills,
    sent: sent.length,
    acknowledged: acknowledgedOf(sent).length,
    lost: sent.filter((each) => lost.has(each)).length,
  }));
}

async function crashAtEach(
  syscall: string,
  { databaseUrl, isWarm }: CrashOptions,
  numbers: () => number,
): Promise<{ syscall: string; kills: number; sent: SentDelivery[] }> {
  const sent: SentDelivery[] = [];
  for (let nth = 1; nth <= CALLS_MAX; nth += 1) {
    await using intake = await startIntakeProcess(databaseUrl);
    if (isWarm) sent.push(...(await deliver(intake.port, numbers, [1])));
    const inject = `inject=${syscall}:signal=SIGKILL:when=${nth}`;
    const strace = await attachStrace([intake.pid], ['-o', '/dev/null', '-e', `trace=${syscall}`, '-e', inject]);
    const seen = await deliver(intake.port, numbers, isWarm ? [2] : [2, 1]);
    await strace.kill();
    sent.push(...seen);
    if (seen.every(({ status }) => status !== null)) return { syscall, kills: nth - 1, sent };
  }
  throw new Error(`${syscall}: ${CALLS_MAX} calls and still no end`);
}

/**
 * So many at once, of which the second may wait for the first one's commit, and when they are answered the next so many, on connections that
 * are kept.
 */
async function deliver(port: number, numbers: () => number, rounds: readonly number[]): Promise<SentDelivery[]> {
  const agent = new Agent({ keepAlive: true });
  const sent: SentDelivery[] = [];
  for (const atOnce of rounds)
    sent.push(
      ...(await Promise.all(Array.from({ length: atOnce }, () => send({ port, agent }, REPOSITORY_ID, numbers())))),
    );
  agent.destroy();
  return sent;
}

/** Each number once, so that each delivery has a job of its own. */
function countFrom(first: number): () => number {
  let next = first;
  return () => next++;
}
