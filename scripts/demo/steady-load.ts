/** A steady stream of requests, half of them on kept-alive connections, half on new ones; and what came back. */
import { Agent, request } from 'node:http';

export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  /** How often each body was seen. */
  readonly bodies: ReadonlyMap<string, number>;
  /** The first few failures, in words. */
  readonly failures: readonly string[];
}

export interface LoadTarget {
  readonly port: number;
  /** Host header: which preview is asked. */
  readonly host: string;
  readonly path: string;
}

const REQUEST_TIMEOUT_MS = 10_000;
const FAILURES_TOLD = 5;

/** Begins to send `perSecond` requests a second. `stop()` waits for the answers that are still out. Anything but 200 is a failure. */
export function startSteadyLoad(target: LoadTarget, perSecond: number): { stop(): Promise<LoadResult> } {
  const agents = [new Agent({ keepAlive: true, maxSockets: 32 }), new Agent({ keepAlive: false })];
  const bodies = new Map<string, number>();
  const failures: string[] = [];
  const out = new Set<Promise<void>>();
  const startedAt = performance.now();
  let sent = 0;
  let failed = 0;

  const ask = async () => {
    const agent = agents[sent % agents.length];
    sent += 1;
    try {
      const body = await get(target, agent);
      bodies.set(body, (bodies.get(body) ?? 0) + 1);
    } catch (error) {
      failed += 1;
      if (failures.length < FAILURES_TOLD) failures.push((error as Error).message);
    }
  };
  const timer = setInterval(() => {
    // As many as are due by now: a timer that fires late must not make the load lighter.
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * perSecond);
    for (let missing = due - sent; missing > 0; missing -= 1) {
      const asked = ask().finally(() => out.delete(asked));
      out.add(asked);
    }
  }, 1_000 / perSecond);

  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(out);
      for (const agent of agents) agent.destroy();
      return { requests: sent, failed, bodies, failures };
    },
  };
}

/** What came back of a load that ran while `act` did, and is stopped however that ends. Rejects as `act` does. */
export async function underSteadyLoad(
  target: LoadTarget,
  perSecond: number,
  act: () => Promise<void>,
): Promise<LoadResult> {
  const load = startSteadyLoad(target, perSecond);
  let result: LoadResult;
  try {
    await act();
  } finally {
    result = await load.stop();
  }
  return result;
}

/** What is wrong with the answers, which must be one of these bodies each. Null when nothing is. */
export function objectionTo(result: LoadResult, bodies: readonly string[]): string | null {
  if (result.failed > 0) return `${result.failed} requests failed:\n${result.failures.join('\n')}`;
  const expected = bodies.reduce((sum, body) => sum + (result.bodies.get(body) ?? 0), 0);
  if (expected === result.requests) return null;
  const other = [...result.bodies.keys()].find((body) => !bodies.includes(body)) ?? 'nothing';
  return `${result.requests - expected} requests were answered with something else, like "${other.slice(0, 80)}"`;
}

/** The body of a GET through the gateway. Rejects for anything but 200. */
export function get(target: LoadTarget, agent?: Agent): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { port, host, path } = target;
  const asking = request(
    {
      host: '127.0.0.1',
      port,
      path,
      headers: { host },
      timeout: REQUEST_TIMEOUT_MS,
      ...(agent === undefined ? {} : { agent }),
    },
    (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (body += chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        answer.statusCode === 200
          ? resolve(body)
          : reject(new Error(`status ${String(answer.statusCode)}: ${body.slice(0, 80)}`)),
      );
    },
  );
  asking.on('timeout', () => asking.destroy(new Error(`no answer in ${REQUEST_TIMEOUT_MS / 1_000} s`)));
  asking.on('error', reject);
  asking.end();
  return promise;
}
