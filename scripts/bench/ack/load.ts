import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export const BENCH_SECRET = 'the-secret-of-the-benchmark-0123456789';

/** The repository of GitHub's example payload. */
export const BENCH_REPOSITORY = 'Codertocat/Hello-World';

/** Pull requests that the deliveries are about: as many as a busy day has open. */
const PULL_REQUESTS = 64;

export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Who is asked, and what it answers a delivery that it takes. */
export interface LoadTarget {
  readonly port: number;
  readonly status: 200 | 202;
}

/** A signed delivery, but for its id, which ends the head. */
interface Request {
  readonly head: string;
  readonly body: Buffer;
}

const HEAD_END = '\r\n\r\n';
/** Longer than any answer. */
const ANSWER_BYTES_MAX = 4_096;
let lastId = 0;

/** GitHub's own `opened` payload for some pull requests, signed. */
export function signedDeliveries(): Request[] {
  const all = createRequire(import.meta.url)('@octokit/webhooks-examples') as { name: string; examples: object[] }[];
  const [opened] = all.find(({ name }) => name === 'pull_request')?.examples ?? [];
  return Array.from({ length: PULL_REQUESTS }, (_, at) => {
    const number = at + 1;
    const payload = {
      ...opened,
      number,
      pull_request: { ...(opened as { pull_request: object }).pull_request, number },
    };
    const body = Buffer.from(JSON.stringify(payload));
    const head = [
      'POST /webhook/github HTTP/1.1',
      'Host: webhook.example.com',
      'User-Agent: GitHub-Hookshot/044aadd',
      `Content-Length: ${body.length}`,
      'Content-Type: application/json',
      'X-GitHub-Event: pull_request',
      `X-Hub-Signature-256: sha256=${createHmac('sha256', BENCH_SECRET).update(body).digest('hex')}`,
      'X-GitHub-Delivery: 00000000-0000-4000-8000-',
    ].join('\r\n');
    return { head, body };
  });
}

/**
 * Keeps so many connections busy: each sends the next delivery when it has its answer. Plain sockets, bodies that are never copied and answers that are
 * read into one buffer, because what the load costs on a machine that runs both sides is missing on the other. Throws when an answer has another status than the
 * target's.
 */
export async function measureLoad(
  target: LoadTarget,
  requests: readonly Request[],
  options: { connections: number; warmUpMs: number; forMs: number },
): Promise<LoadResult> {
  const times: number[] = [];
  const beginsAt = performance.now() + options.warmUpMs;
  const endsAt = beginsAt + options.forMs;
  const record = (startedAt: number, endedAt: number): boolean => {
    if (startedAt >= beginsAt && endedAt <= endsAt) times.push(endedAt - startedAt);
    return endedAt < endsAt;
  };
  await Promise.all(
    Array.from({ length: options.connections }, (_, at) => keepSending(target, { requests, at, record })),
  );
  times.sort((a, b) => a - b);
  const quantile = (share: number) => Number((times[Math.floor(times.length * share)] ?? Number.NaN).toFixed(3));
  return {
    requestsPerSecond: Math.round(times.length / (options.forMs / 1_000)),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
}

/** What one request after each of some silences takes, in milliseconds, each on a connection of its own. Throws as `measureLoad` does. */
export async function measureAfterSilence(
  target: LoadTarget,
  requests: readonly Request[],
  options: { silences: number; silenceMs: number },
): Promise<number[]> {
  const times: number[] = [];
  for (let nth = 0; nth < options.silences; nth += 1) {
    await delay(options.silenceMs);
    // The first request of a connection, and the only one.
    const record = (startedAt: number, endedAt: number) => {
      times.push(endedAt - startedAt);
      return false;
    };
    await keepSending(target, { requests, at: nth, record });
  }
  return times;
}

interface Sender {
  readonly requests: readonly Request[];
  /** Which connection this is; each begins with another delivery. */
  readonly at: number;
  /** Whether to go on. */
  readonly record: (startedAt: number, endedAt: number) => boolean;
}

function keepSending({ port, status }: LoadTarget, sender: Sender): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let next = sender.at;
  let startedAt = 0;
  let received = '';
  const send = (): void => {
    const request = sender.requests[next % sender.requests.length];
    if (request === undefined) throw new Error('no requests');
    next += 1;
    lastId += 1;
    startedAt = performance.now();
    // One system call for both.
    socket.cork();
    socket.write(`${request.head}${lastId.toString(16).padStart(12, '0')}${HEAD_END}`, 'latin1');
    socket.write(request.body);
    socket.uncork();
  };
  const answers = Buffer.allocUnsafe(ANSWER_BYTES_MAX);
  const receive = (length: number): boolean => {
    received += answers.toString('latin1', 0, length);
    if (!isWhole(received)) return true;
    if (!received.startsWith(`HTTP/1.1 ${status} `)) {
      socket.destroy(new Error(`answered ${received.slice(0, 200)}`));
    } else if (sender.record(startedAt, performance.now())) {
      received = '';
      send();
    } else {
      socket.destroy();
      resolve();
    }
    return true;
  };
  const onread = { buffer: answers, callback: receive };
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
  socket.on('connect', send);
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the server closed a connection')));
  return promise;
}

/** Whether an answer has arrived to its end. */
function isWhole(answer: string): boolean {
  const headEnd = answer.indexOf(HEAD_END);
  if (headEnd < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(answer)?.[1];
  return length === undefined
    ? answer.endsWith(`\r\n0${HEAD_END}`)
    : answer.length >= headEnd + HEAD_END.length + Number(length);
}
