/**
 * What the gateway costs: requests per second straight to an app and through the gateway, with few previews and with many; and how long a
 * change of one route takes while another carries 1,000 requests per second, with what was lost meanwhile.
 *
 * App, gateway and load are processes of their own. Subjects of a round take turns, and each figure is the median of its rounds: compare
 * within one run only.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { hostLabelOf, instanceNameOf, parseSlug } from '../../webhook/core/names.ts';
import type { PreviewRoute } from '../../webhook/core/preview-route.ts';
import { startSteadyLoad } from '../demo/steady-load.ts';
import { aCaddy, type Caddy } from './gateway/caddy.ts';
import type { Change } from './gateway/door.ts';
import { median, printMeasured, type BenchRow } from './parts/report.ts';

const ROUNDS = 5;
const ROUND_SECONDS = 2;
const CONNECTIONS = 32;
const FEW = 10;
const MANY = 5_000;
const SWITCHES = 50;
const REQUESTS_PER_SECOND = 1_000;

/** Measures and prints: JSON `{bench, machine, rows}` or a table. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    await using app = await aChild('app');
    await using next = await aChild('app');
    await using few = await aChild('door');
    await using many = await aChild('door');
    await fill(few, FEW, app.port);
    await fill(many, MANY, app.port);
    await using caddyFew = await aCaddy(FEW, app.port);
    await using caddyMany = await aCaddy(MANY, app.port);
    const rows = [
      ...(await rates({ app, few, many, caddyFew, caddyMany })),
      ...(await changes(few, FEW, [app, next])),
      ...(await changes(many, MANY, [app, next])),
    ];
    return { bench: 'gateway', rounds: ROUNDS, rows, machine: { caddy: caddyFew?.version ?? 'none' } };
  });
}

interface Child extends AsyncDisposable {
  readonly port: number;
  /** Milliseconds the change took inside the gateway. */
  change(change: Change): Promise<number>;
}

async function aChild(program: 'app' | 'door'): Promise<Child> {
  const child: ChildProcess = fork(join(import.meta.dirname, 'gateway', `${program}.ts`));
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return {
    port,
    async change(change) {
      child.send(change);
      const [answer] = (await once(child, 'message')) as [{ ms: number } | { error: string }];
      if ('error' in answer) throw new Error(answer.error);
      return answer.ms;
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    },
  };
}

function routeOf(number: number, slot: number, port: number): PreviewRoute {
  const slug = parseSlug(`shop-${number}`);
  if (slug === null) throw new Error('no slug');
  return {
    slug,
    hosts: [{ label: hostLabelOf(slug), routes: [{ path: '/', port: 3_000, stripPrefix: false }] }],
    answering: { instance: instanceNameOf(slot), upstreams: { '3000': { address: '127.0.0.1', port } } },
  };
}

async function fill(door: Child, previews: number, port: number): Promise<void> {
  const routes = Array.from({ length: previews }, (_, at) => routeOf(at + 1, at + 1, port));
  await door.change({ fill: routes });
}

interface Doors {
  readonly app: Child;
  readonly few: Child;
  readonly many: Child;
  readonly caddyFew: Caddy | null;
  readonly caddyMany: Caddy | null;
}

async function rates({ app, few, many, caddyFew, caddyMany }: Doors): Promise<BenchRow[]> {
  const asked = (subject: string, previews: number, number: number, door: { port: number } | null) =>
    door === null
      ? []
      : [{ subject, previews, host: `shop-${number}.localhost`, port: door.port, rounds: [] as Load[] }];
  const subjects = [
    ...asked('app alone', 0, 1, app),
    ...asked(`gateway, last of ${FEW}`, FEW, FEW, few),
    ...asked(`gateway, first of ${MANY}`, MANY, 1, many),
    ...asked(`gateway, last of ${MANY}`, MANY, MANY, many),
    ...asked(`Caddy, last of ${FEW}`, FEW, FEW, caddyFew),
    ...asked(`Caddy, last of ${MANY}`, MANY, MANY, caddyMany),
  ];
  for (let round = 0; round < ROUNDS; round += 1)
    for (const each of subjects) each.rounds.push(await loaded(each.port, each.host));
  return subjects.map(({ subject, previews, rounds }) => ({
    subject,
    previews,
    connections: CONNECTIONS,
    requestsPerSecond: Math.round(median(rounds.map((each) => each.requestsPerSecond))),
    p50Ms: median(rounds.map((each) => each.p50Ms)),
    p99Ms: median(rounds.map((each) => each.p99Ms)),
    failed: rounds.reduce((sum, each) => sum + each.failed, 0),
  }));
}

interface Load {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
}

async function loaded(port: number, host: string): Promise<Load> {
  const autocannon = resolve(import.meta.dirname, '../../node_modules/autocannon/autocannon.js');
  const words = [
    '-j',
    '-c',
    String(CONNECTIONS),
    '-d',
    String(ROUND_SECONDS),
    '-H',
    `host=${host}`,
    `http://127.0.0.1:${port}/`,
  ];
  const { stdout } = await execa(process.execPath, [autocannon, ...words], { timeout: 60_000 });
  const told = JSON.parse(stdout) as {
    requests: { average: number };
    latency: { p50: number; p99: number };
    errors: number;
    non2xx: number;
  };
  return {
    requestsPerSecond: told.requests.average,
    p50Ms: told.latency.p50,
    p99Ms: told.latency.p99,
    failed: told.errors + told.non2xx,
  };
}

/** Switches the preview that carries the load, then creates and closes others beside it. */
async function changes(door: Child, previews: number, apps: readonly Child[]): Promise<BenchRow[]> {
  const load = startSteadyLoad({ port: door.port, host: 'shop-1.localhost', path: '/' }, REQUESTS_PER_SECOND);
  const took: Record<'switch' | 'create' | 'close', number[]> = { switch: [], create: [], close: [] };
  for (let count = 1; count <= SWITCHES; count += 1) {
    const port = apps[count % apps.length]?.port ?? 0;
    took.switch.push(await door.change({ ensure: routeOf(1, 10_000 + count, port) }));
    const other = routeOf(20_000 + count, 20_000 + count, port);
    took.create.push(await door.change({ ensure: other }));
    took.close.push(await door.change({ remove: other.slug }));
    await new Promise((done) => setTimeout(done, 20));
  }
  const { requests, failed } = await load.stop();
  return Object.entries(took).map(([subject, all]) => ({
    subject: `${subject}, of ${previews}`,
    previews,
    p50Ms: rounded(median(all)),
    p99Ms: rounded(quantile(all, 0.99)),
    changes: all.length,
    requests,
    failed,
  }));
}

function quantile(all: readonly number[], part: number): number {
  return all.toSorted((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * part))] ?? Number.NaN;
}

const rounded = (ms: number): number => Math.round(ms * 100) / 100;
