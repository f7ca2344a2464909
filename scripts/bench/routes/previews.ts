/** Runs inside the test host: fills Caddy with previews and measures changes and rates among them. Its last line of output is JSON. */
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { routeFileText, type RouteFile } from '../../../webhook/adapters/caddy/site.ts';
import { openCaddyRoutes } from '../../../webhook/adapters/caddy/routes.ts';
import { hostLabelOf, instanceNameOf, parseSlug } from '../../../webhook/core/names.ts';
import { addressesOf, parsePool } from '../../../webhook/core/slots.ts';
import type { Log, PreviewRoute } from '../../../webhook/ports.ts';
import { writeFileSync } from 'node:fs';
import { host, hostd, startHostd } from '../../../test/host/inside/a-host-runtime.ts';
import { median } from '../report.ts';

const count = Number(process.argv[2]);
const rounds = Number(process.argv[3]);
const connections = 16;
const perSecond = 1_000;
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

function must<T>(value: T | null): T {
  if (value === null) throw new Error('impossible');
  return value;
}
const pool = must(parsePool('10.100.0.0/16'));
const previewPool = must(parsePool('10.101.0.0/16'));
const settings = {
  directory: '/etc/caddy/previews',
  domain: 'preview.test',
  scheme: 'http',
  pool,
  previewPool,
  publicPort: null,
} as const;
const whole = [{ path: '/', port: 3000, stripPrefix: false }];
const slugOf = (index: number) => must(parseSlug(`shop-${index}`));
const hostNameOf = (index: number) => `${slugOf(index)}.preview.test`;

/** Two instances: a web server in a process of its own on the address of slot 1 and of slot 2. */
async function standIns(): Promise<() => void> {
  for (const slot of [1, 2]) host('ip', 'address', 'add', `${addressesOf(pool, slot).instance}/32`, 'dev', 'lo');
  const apps = await Promise.all(
    [1, 2].map(async (slot) => {
      const app = fork(resolve(import.meta.dirname, 'app.ts'), [addressesOf(pool, slot).instance]);
      await once(app, 'message');
      return app;
    }),
  );
  return () => apps.forEach((app) => app.kill());
}

function routeTo(index: number, slot: number): PreviewRoute {
  const slug = slugOf(index);
  const upstreams = { '3000': { address: addressesOf(pool, slot).instance, port: 3000 } };
  return {
    slug,
    hosts: [{ label: hostLabelOf(slug), routes: whole }],
    answering: { instance: instanceNameOf(slot), upstreams },
  };
}

async function rateOf(index: number): Promise<number> {
  const autocannon = resolve(import.meta.dirname, '../../../node_modules/autocannon/autocannon.js');
  const words = [
    '-c',
    String(connections),
    '-d',
    '3',
    '-n',
    '--json',
    '-H',
    `Host: ${hostNameOf(index)}`,
    'http://127.0.0.1/',
  ];
  const { stdout } = await promisify(execFile)('node', [autocannon, ...words], { maxBuffer: 1e8 });
  return Math.round((JSON.parse(stdout) as { '2xx': number; duration: number })['2xx'] / 3);
}

/** Median milliseconds of the change, and what a steady load on the first preview lost during all rounds. */
async function underLoad(
  change: (round: number) => Promise<void>,
): Promise<{ ms: number; lost: number; requests: number }> {
  const load = execFile('node', [resolve(import.meta.dirname, 'load.ts'), hostNameOf(1), String(perSecond)]);
  const printed = text(load.stdout ?? process.stdin);
  // Until it is in its stride.
  await delay(1_000);
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const begun = performance.now();
    await change(round);
    times.push(performance.now() - begun);
  }
  load.stdin?.end();
  const { requests, failed } = JSON.parse(await printed) as { requests: number; failed: number };
  return { ms: Math.round(median(times) * 10) / 10, lost: failed, requests };
}

startHostd();
const endApps = await standIns();
for (let index = 1; index <= count; index += 1) {
  const slug = slugOf(index);
  const file: RouteFile = {
    slug,
    address: addressesOf(previewPool, index).instance,
    hosts: [{ label: hostLabelOf(slug), routes: whole }],
    basicAuth: null,
  };
  writeFileSync(`/etc/caddy/previews/${slug}.caddy`, routeFileText(settings, file));
}
const routes = await openCaddyRoutes(settings, {
  hostd,
  log: silent,
  basicAuthOf: () => Promise.resolve(null),
  statusPage: () => Promise.reject(new Error('nobody asks for it')),
});
for (const index of new Set([1, Math.ceil(count / 2), count])) await routes.ensure(routeTo(index, 1));

const rates: number[][] = [[], []];
for (let round = 0; round < 3; round += 1)
  for (const [at, index] of [1, count].entries()) rates[at]?.push(await rateOf(index));
const switched = await underLoad((round) => routes.ensure(routeTo(1, 1 + ((round + 1) % 2))));
const created = await underLoad((round) => routes.ensure(routeTo(count + 1 + round, 1)));
const closed = await underLoad((round) => routes.remove(slugOf(count + 1 + round)));
endApps();
console.log(
  JSON.stringify({
    subject: `${count} previews`,
    firstHostPerSecond: median(rates[0] ?? []),
    lastHostPerSecond: median(rates[1] ?? []),
    switchMs: switched.ms,
    switchLost: `${switched.lost} of ${switched.requests}`,
    createMs: created.ms,
    createLost: `${created.lost} of ${created.requests}`,
    closeMs: closed.ms,
    closeLost: `${closed.lost} of ${closed.requests}`,
  }),
);
process.exit(0);
