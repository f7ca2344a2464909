/**
 * Promise R1 (c): what strace saw of the listener and of PostgreSQL while deliveries came in, in one log: for each the request, its statement, a flush of
 * the write-ahead log, PostgreSQL's answer that its transaction is over, and only then the 202.
 */
import { readFile, readdir } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import { onServer } from '../on-server.ts';
import { silentLog } from '../silent-log.ts';
import { startIntakeProcess } from './intake-process.ts';
import { acknowledgedOf, send, type SentDelivery } from './sent-deliveries.ts';
import { attachStrace } from './strace.ts';

const REPOSITORY_ID = 42;
const AT_ONCE = 4;

/** Longer than any request or statement here. */
const STRING_MAX_BYTES = 16_384;

export interface OrderResult {
  readonly acknowledged: number;
  /** Acknowledged, and each step of the chain is in the log before the next. */
  readonly inOrder: number;
  readonly fsync: string;
  readonly synchronousCommit: string;
}

/** Sends deliveries to the listener on an embedded PostgreSQL as the service starts it, in the folder. */
export async function traceAcknowledgements(folder: string, deliveries: number): Promise<OrderResult> {
  const directory = join(folder, 'postgres');
  const server = await startEmbeddedPostgres({ directory, log: silentLog });
  try {
    const [settings] = await onServer(
      server.url,
      `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`,
    );
    const log = join(folder, 'strace.log');
    const { sent, listener } = await traced(server.url, { directory, log, deliveries });
    const seen = stepsIn(await readFile(log, 'utf8'), listener);
    const acknowledged = acknowledgedOf(sent);
    return {
      acknowledged: acknowledged.length,
      inOrder: acknowledged.filter(({ id }) => isInOrder(id, seen)).length,
      fsync: String(settings?.['fsync']),
      synchronousCommit: String(settings?.['commit']),
    };
  } finally {
    await server.stop();
  }
}

async function traced(
  url: string,
  { directory, log, deliveries }: { directory: string; log: string; deliveries: number },
): Promise<{ sent: SentDelivery[]; listener: number }> {
  await using intake = await startIntakeProcess(url);
  const postgres = await processTree(await postmasterOf(directory));
  const strace = await attachStrace(
    [intake.pid, ...postgres],
    ['-o', log, '-s', String(STRING_MAX_BYTES), '-e', 'trace=read,write,writev,recvfrom,sendto,fdatasync'],
  );
  const agent = new Agent({ keepAlive: true });
  const sent: SentDelivery[] = [];
  while (sent.length < deliveries) {
    const first = sent.length;
    const batch = Array.from({ length: AT_ONCE }, (_, at) =>
      send({ port: intake.port, agent }, REPOSITORY_ID, first + at + 1),
    );
    sent.push(...(await Promise.all(batch)));
  }
  agent.destroy();
  await strace.stop();
  return { sent, listener: intake.pid };
}

/** The server's main process, which runs on the cluster in the embedded server's folder. */
export async function postmasterOf(directory: string): Promise<number> {
  return Number((await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

/** A process and its children; PostgreSQL's have none of their own. */
export async function processTree(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(
    pids.map(async (pid) => ({ pid: Number(pid), stat: await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '') })),
  );
  // proc(5): after the name in parentheses come the state and the parent.
  const children = stats.filter(({ stat }) => Number(/\) \S (\d+)/.exec(stat)?.[1]) === parent);
  return [parent, ...children.map(({ pid }) => pid)];
}

/** Line numbers of the log at which the steps of one delivery were seen. */
interface Steps {
  requested?: number;
  /** The server has the statement. */
  asked?: number;
  /** The server says that the transaction is over. */
  committed?: number;
  /** The listener has read that. */
  told?: number;
  acknowledged?: number;
}

interface Seen {
  readonly steps: ReadonlyMap<string, Steps>;
  /** Where a flush of the write-ahead log had ended well. */
  readonly flushes: readonly number[];
}

function isInOrder(id: string, { steps, flushes }: Seen): boolean {
  const { requested, asked, committed, told, acknowledged } = steps.get(id) ?? {};
  if (requested === undefined || asked === undefined || committed === undefined) return false;
  if (told === undefined || acknowledged === undefined) return false;
  const isFlushed = flushes.some((at) => asked < at && at < committed);
  return isFlushed && requested < asked && committed < told && told < acknowledged;
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** ReadyForQuery of PostgreSQL's protocol, "idle": what came before is committed. It follows the rows, whose text has the ids. */
const READY_IDLE = String.raw`Z\0\0\0\5I`;

/** Reads `strace -f -o`: a line is `<pid> <call>`, a call that was interrupted by another process's line goes on in `<pid> <... call resumed>`. */
function stepsIn(log: string, listener: number): Seen {
  const steps = new Map<string, Steps>();
  const flushes: number[] = [];
  const unfinished = new Map<number, string>();
  /** The delivery that each of the listener's connections is about. */
  const requestOn = new Map<string, string>();
  const note = (text: string, step: keyof Steps, at: number) => {
    for (const [id] of text.matchAll(UUID)) {
      const known = steps.get(id) ?? {};
      steps.set(id, known);
      known[step] ??= at;
    }
  };
  for (const [at, line] of log.split('\n').entries()) {
    const [, pidText = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const pid = Number(pidText);
    const call = rest.replace(/^<\.\.\. \w+ resumed>/, () => unfinished.get(pid) ?? '');
    if (call.endsWith('<unfinished ...>')) unfinished.set(pid, call.replace(/ ?<unfinished \.\.\.>$/, ''));
    const [, name = '', fd = ''] = /^(\w+)\((\d+)/.exec(call) ?? [];
    const isBegun = !rest.startsWith('<...');
    if (name === 'fdatasync' && call.endsWith(' = 0')) flushes.push(at);
    if (pid !== listener) {
      if (name === 'recvfrom') note(call, 'asked', at);
      // What is sent counts from when the call begins.
      if (name === 'sendto' && isBegun && call.includes(READY_IDLE)) note(call, 'committed', at);
      continue;
    }
    const delivery = /x-github-delivery: ([0-9a-f-]{36})/i.exec(call)?.[1];
    if (name === 'read' && delivery !== undefined) {
      requestOn.set(fd, delivery);
      note(delivery, 'requested', at);
    } else if (name === 'read' && call.includes(READY_IDLE)) note(call, 'told', at);
    else if (name.startsWith('write') && isBegun && call.includes('HTTP/1.1 202'))
      note(requestOn.get(fd) ?? '', 'acknowledged', at);
  }
  return { steps, flushes };
}
