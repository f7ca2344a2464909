/**
 * Acknowledging webhooks: the durable 202 beside a bare Fastify that verifies and parses and keeps nothing, and beside @octokit/webhooks, in one run,
 * interleaved. Both sides of the load are on this machine.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { startTestServer } from '../../test/support/test-server.ts';
import { measureAfterSilence, measureLoad, signedDeliveries, type LoadResult } from './ack/load.ts';
import { median, printMeasured, type BenchRow } from './parts/report.ts';

const ROUNDS = 3;
const CONNECTIONS = [1, 16, 64];
const SUBJECTS = ['durable', 'uncommitted', 'octokit-webhooks', 'durable without its commit'];
/** Until the functions that all requests pass through are compiled: at 64 connections V8's threads work on those of the longest path for four seconds. */
const WARM_UP_MS = 5_000;
const FOR_MS = 2_000;
const SILENCES = 7;
const SILENCE_MS = 2_000;

export async function run({ json }: { json: boolean }): Promise<void> {
  const given = process.env['DATABASE_URL'];
  const server = given === undefined || given === '' ? await startTestServer({ durable: true }) : null;
  try {
    await printMeasured(json, async () => ({
      bench: 'ack',
      rounds: ROUNDS,
      rows: await measure(server?.url ?? given ?? ''),
      machine: { postgresql: server === null ? 'DATABASE_URL' : 'embedded' },
    }));
  } finally {
    await server?.stop();
  }
}

async function measure(databaseUrl: string): Promise<BenchRow[]> {
  const requests = signedDeliveries();
  const measured = new Map<string, LoadResult[]>();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const connections of CONNECTIONS) {
      for (const subject of SUBJECTS) {
        const { port, child } = await startSubject(subject, databaseUrl);
        try {
          const options = { connections, warmUpMs: WARM_UP_MS, forMs: FOR_MS };
          const result = await measureLoad(port, requests, options);
          const key = JSON.stringify([subject, connections]);
          measured.set(key, [...(measured.get(key) ?? []), result]);
        } finally {
          await endSubject(child);
        }
      }
    }
  }
  const silent: BenchRow[] = [];
  for (const subject of SUBJECTS) silent.push(await rowAfterSilence(subject, databaseUrl, requests));
  const busy = Array.from(measured, ([key, results]) => {
    const [subject, connections] = JSON.parse(key) as [string, number];
    const middle = (figure: keyof LoadResult) => median(results.map((result) => result[figure]));
    return {
      subject,
      connections,
      requestsPerSecond: middle('requestsPerSecond'),
      p50Ms: middle('p50Ms'),
      p99Ms: middle('p99Ms'),
    };
  });
  return [...busy, ...silent];
}

/** Warm, then nothing for a while: what the next delivery takes, several times over. `p99Ms` is the longest of them. */
async function rowAfterSilence(subject: string, databaseUrl: string, requests: Requests): Promise<BenchRow> {
  const { port, child } = await startSubject(subject, databaseUrl);
  try {
    await measureLoad(port, requests, { connections: 1, warmUpMs: 0, forMs: WARM_UP_MS });
    const times = await measureAfterSilence(port, requests, { silences: SILENCES, silenceMs: SILENCE_MS });
    return {
      subject: `${subject}, after ${SILENCE_MS / 1_000} s of silence`,
      connections: 1,
      requestsPerSecond: null,
      p50Ms: Number(median(times).toFixed(3)),
      p99Ms: Number(Math.max(...times).toFixed(3)),
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

async function startSubject(subject: string, databaseUrl: string): Promise<{ port: number; child: ChildProcess }> {
  const isOurs = subject.startsWith('durable');
  // Its log goes to nobody, but it is written.
  const child = fork(join(import.meta.dirname, 'ack/subject-process.ts'), [subject, databaseUrl], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: isOurs ? serviceFlags() : [],
  });
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${subject} did not start`)));
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [{ port: number }];
  ended.catch(() => {});
  return { port: message.port, child };
}

/** What Node is given when the service is started (`npm start`; the program on a host has the same). */
function serviceFlags(): string[] {
  const { scripts } = createRequire(import.meta.url)('../../package.json') as { scripts: { start: string } };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}
