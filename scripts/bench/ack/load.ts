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

/** A signed delivery, ready to be sent; its id is written in place before each use. */
interface Request {
  readonly bytes: Buffer;
  readonly idAt: number;
}

const NO_ID = '00000000-0000-4000-8000-000000000000';
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
    const body = JSON.stringify(payload);
    const head = [
      'POST /webhook/github HTTP/1.1',
      'Host: webhook.example.com',
      'User-Agent: GitHub-Hookshot/044aadd',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Content-Type: application/json',
      'X-GitHub-Event: pull_request',
      `X-Hub-Signature-256: sha256=${createHmac('sha256', BENCH_SECRET).update(body).digest('hex')}`,
      `X-GitHub-Delivery: ${NO_ID}`,
    ].join('\r\n');
    const bytes = Buffer.from(`${head}\r\n\r\n${body}`);
    return { bytes, idAt: bytes.indexOf(NO_ID) };
  });
}

/**
 * Keeps so many connections busy: each sends the next delivery when it has its answer. Plain sockets, because on a machine that runs both sides a client
 * library would be most of what is measured. Throws when an answer is not 202.
 */
export async function measureLoad(
  port: number,
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
    Array.from({ length: options.connections }, (_, at) => keepSending(port, { requests, at, record })),
  );
  times.sort((a, b) => a - b);
  const quantile = (share: number) => Number((times[Math.floor(times.length * share)] ?? Number.NaN).toFixed(3));
  return {
    requestsPerSecond: Math.round(times.length / (options.forMs / 1_000)),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
}

/** What one request after each of some silences takes, in milliseconds, each on a connection of its own. Throws when an answer is not 202. */
export async function measureAfterSilence(
  port: number,
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
    await keepSending(port, { requests, at: nth, record });
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

function keepSending(port: number, sender: Sender): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let next = sender.at;
  let startedAt = 0;
  let received = '';
  const send = (): void => {
    const request = sender.requests[next % sender.requests.length];
    if (request === undefined) throw new Error('no requests');
    next += 1;
    lastId += 1;
    // A copy of its own: the one sent before may still lie in the socket's buffer.
    const bytes = Buffer.from(request.bytes);
    bytes.write(lastId.toString(16).padStart(12, '0'), request.idAt + NO_ID.lastIndexOf('-') + 1, 'latin1');
    startedAt = performance.now();
    socket.write(bytes);
  };
  socket.on('connect', send);
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    if (!isWhole(received)) return;
    const isGood = received.startsWith('HTTP/1.1 202') || received.startsWith('HTTP/1.1 200');
    if (!isGood) socket.destroy(new Error(`answered ${received.slice(0, 200)}`));
    else if (sender.record(startedAt, performance.now())) {
      received = '';
      send();
    } else {
      socket.destroy();
      resolve();
    }
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the server closed a connection')));
  return promise;
}

/** Whether an answer has arrived to its end. */
function isWhole(answer: string): boolean {
  const headEnd = answer.indexOf('\r\n\r\n');
  if (headEnd < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(answer)?.[1];
  return length === undefined ? answer.endsWith('\r\n0\r\n\r\n') : answer.length >= headEnd + 4 + Number(length);
}
