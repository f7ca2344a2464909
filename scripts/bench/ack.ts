/**
 * Acknowledging webhooks: the durable 202 beside a bare Fastify that verifies and parses and keeps nothing, and beside @octokit/webhooks, all up at once and
 * taking turns of a second. Both sides of the load are on this machine.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { onServer } from '../../test/support/on-server.ts';
import { startTestServer } from '../../test/support/test-server.ts';
import { measureAfterSilence, measureLoad, signedDeliveries, type LoadResult, type LoadTarget } from './ack/load.ts';
import { median, printMeasured, type BenchRow } from './parts/report.ts';

const ROUNDS = 15;
const CONNECTIONS = [1, 16, 64];
/** In this order within a round: what ours is compared with stands beside it, for the machine's speed changes within half a minute. */
const SUBJECTS = ['uncommitted', 'durable', 'octokit-webhooks', 'durable without its commit'] as const;
type Subject = (typeof SUBJECTS)[number];
/** Until the functions that all requests pass through are compiled: at 64 connections V8's threads work on those of the longest path for four seconds. */
const WARM_UP_MS = 5_000;
/** Of each part of a round, until connections are made and caches filled again. */
const BEGIN_MS = 200;
const FOR_MS = 1_000;
const SILENCES = 7;
const SILENCE_MS = 2_000;

export async function run({ json }: { json: boolean }): Promise<void> {
  const given = process.env['DATABASE_URL'];
  const server = given === undefined || given === '' ? await startTestServer({ durable: true }) : null;
  const databaseUrl = server?.url ?? given ?? '';
  try {
    await printMeasured(json, async () => ({
      bench: 'ack',
      rounds: ROUNDS,
      rows: await measure(databaseUrl),
      machine: {
        postgresql: server === null ? 'DATABASE_URL' : 'embedded',
        ...(await durabilityOf(databaseUrl)),
        nodeFlags: serviceFlags().join(' '),
      },
    }));
  } finally {
    await server?.stop();
  }
}

/** Whether the server flushes what it commits; without, a durable 202 is none. Our own sessions ask for `synchronous_commit` themselves. */
async function durabilityOf(databaseUrl: string): Promise<{ fsync: string; synchronous_commit: string }> {
  const [row] = await onServer(
    databaseUrl,
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`,
  );
  return { fsync: String(row?.['fsync']), synchronous_commit: String(row?.['commit']) };
}

async function measure(databaseUrl: string): Promise<BenchRow[]> {
  const requests = signedDeliveries();
  const rows: BenchRow[] = [];
  for (const connections of CONNECTIONS) rows.push(...(await rowsOfLoad(connections, databaseUrl, requests)));
  for (const subject of SUBJECTS) rows.push(await rowAfterSilence(subject, databaseUrl, requests));
  return rows;
}

/** All subjects are up and warm at once, and take turns. Beside each figure stands what it is of the uncommitted one's, in the middle round. */
async function rowsOfLoad(connections: number, databaseUrl: string, requests: Requests): Promise<BenchRow[]> {
  await using started = new AsyncDisposableStack();
  const targets: LoadTarget[] = [];
  for (const subject of SUBJECTS) {
    const { target, child } = await startSubject(subject, databaseUrl);
    started.defer(() => endSubject(child));
    await measureLoad(target, requests, { connections, warmUpMs: 0, forMs: WARM_UP_MS });
    targets.push(target);
  }
  const rounds: LoadResult[][] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const results: LoadResult[] = [];
    for (const target of targets)
      results.push(await measureLoad(target, requests, { connections, warmUpMs: BEGIN_MS, forMs: FOR_MS }));
    rounds.push(results);
  }
  return SUBJECTS.map((subject, at) => ({ subject, connections, ...figuresOf(rounds, at) }));
}

/** Of the subject at this place of each round. */
function figuresOf(rounds: readonly (readonly LoadResult[])[], at: number): Readonly<Record<string, number>> {
  const middle = (figure: (own: LoadResult, uncommitted: LoadResult) => number) =>
    median(
      rounds.flatMap((results) => {
        const [own, uncommitted] = [results[at], results[0]];
        return own === undefined || uncommitted === undefined ? [] : [figure(own, uncommitted)];
      }),
    );
  return {
    requestsPerSecond: middle((own) => own.requestsPerSecond),
    p50Ms: rounded(middle((own) => own.p50Ms)),
    p99Ms: rounded(middle((own) => own.p99Ms)),
    rateInPartsOfUncommitted: rounded(middle((own, other) => own.requestsPerSecond / other.requestsPerSecond)),
    p50MsAboveUncommitted: rounded(middle((own, other) => own.p50Ms - other.p50Ms)),
    p99InPartsOfUncommitted: rounded(middle((own, other) => own.p99Ms / other.p99Ms)),
  };
}

const rounded = (figure: number): number => Number(figure.toFixed(3));

/** Warm, then nothing for a while: what the next delivery takes, several times over. `p99Ms` is the longest of them. */
async function rowAfterSilence(subject: Subject, databaseUrl: string, requests: Requests): Promise<BenchRow> {
  const { target, child } = await startSubject(subject, databaseUrl);
  try {
    await measureLoad(target, requests, { connections: 1, warmUpMs: 0, forMs: WARM_UP_MS });
    const times = await measureAfterSilence(target, requests, { silences: SILENCES, silenceMs: SILENCE_MS });
    return {
      subject: `${subject}, after ${SILENCE_MS / 1_000} s of silence`,
      connections: 1,
      requestsPerSecond: null,
      p50Ms: rounded(median(times)),
      p99Ms: rounded(Math.max(...times)),
    };
  } finally {
    await endSubject(child);
  }
}

type Requests = ReturnType<typeof signedDeliveries>;

async function endSubject(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

async function startSubject(
  subject: Subject,
  databaseUrl: string,
): Promise<{ target: LoadTarget; child: ChildProcess }> {
  // Its log goes to nobody, but it is written.
  const child = fork(join(import.meta.dirname, 'ack/subject-process.ts'), [subject, databaseUrl], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // Software is compared, and not what Node is given.
    execArgv: serviceFlags(),
  });
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${subject} did not start`)));
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [{ port: number }];
  ended.catch(() => {});
  return { target: { port: message.port, status: subject === 'octokit-webhooks' ? 200 : 202 }, child };
}

/** What Node is given when the service is started (`npm start`; the program on a host has the same). */
function serviceFlags(): string[] {
  const { scripts } = createRequire(import.meta.url)('../../package.json') as { scripts: { start: string } };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}
