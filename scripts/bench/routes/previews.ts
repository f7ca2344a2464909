/** Runs inside a test host: `previews.ts COUNT ROUNDS` fills Caddy with previews and measures changes among them. They stay. Its last line of output is JSON. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { get as httpGet } from 'node:http';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { openCaddyRoutes } from '../../../webhook/adapters/caddy/routes.ts';
import { hostLabelOf, instanceNameOf } from '../../../webhook/core/names.ts';
import type { PreviewRoute } from '../../../webhook/core/preview-route.ts';
import { openNftSession } from '../../../webhook/hostd/nft-session.ts';
import { must } from '../../../webhook/hostd/programs.ts';
import { host, hostd, startHostd } from '../../../test/host/inside/a-host-runtime.ts';
import { median, type BenchRow } from '../parts/report.ts';
import { domain, hostNameOf, instanceAddress, pool, previewPool, slugOf } from './previews-by-number.ts';
import { startStandIns } from './stand-ins.ts';
import { waitedForACore } from './waited-for-a-core.ts';
import { silentLog } from '../../../test/support/silent-log.ts';

const [count, rounds] = [Number(process.argv[2]), Number(process.argv[3])];
const perSecond = 1_000;
const streams = 20;
/** Between two changes, so that each meets requests that are not those of the one before. */
const pauseMs = 50;
/** Creations at once while the host is filled. */
const together = 20;
const settings = {
  directory: '/etc/caddy/previews',
  domain,
  scheme: 'http',
  pool,
  previewPool,
  publicPort: null,
} as const;

/** A hundred previews of each repository, which has its own routes. */
function routeTo(index: number, slot: number): PreviewRoute {
  const slug = slugOf(index);
  const upstreams = { '3000': { address: instanceAddress(slot), port: 3000 } };
  const more = { path: `/repository-${Math.floor(index / 100)}/*`, port: 3000, stripPrefix: false };
  return {
    slug,
    hosts: [{ label: hostLabelOf(slug), routes: [{ path: '/', port: 3000, stripPrefix: false }, more] }],
    answering: { instance: instanceNameOf(slot), upstreams },
  };
}

/** Answers of other previews that have begun and do not end. */
async function openStreams(): Promise<() => number> {
  let ended = 0;
  const all = Array.from({ length: streams }, async (_, index) => {
    const asked = httpGet({
      host: '127.0.0.1',
      path: '/stream',
      agent: false,
      headers: { host: hostNameOf(1 + (index % 10)) },
    });
    const [response] = (await once(asked, 'response')) as [NodeJS.ReadableStream];
    response.on('error', () => undefined).on('close', () => (ended += 1));
    response.resume();
    return asked;
  });
  const asked = await Promise.all(all);
  return () => {
    const lost = ended;
    for (const each of asked) each.destroy();
    return lost;
  };
}

/** How long the change takes, how much of the longest its makers waited for a core, and what a steady load on the first preview and the open streams of ten lost during all rounds. */
async function underLoad(
  name: string,
  change: (round: number) => Promise<void>,
): Promise<Record<string, string | number>> {
  const endStreams = await openStreams();
  const script = resolve(import.meta.dirname, 'load.ts');
  const load = spawn('node', [script, hostNameOf(1), String(perSecond)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const printed = text(load.stdout);
  // Until it is in its stride.
  await delay(1_000);
  const waited = waitedForACore();
  const times: number[] = [];
  const waits: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const waitedBefore = waited();
    const begun = performance.now();
    await change(round);
    times.push(performance.now() - begun);
    waits.push(waited() - waitedBefore);
    await delay(pauseMs);
  }
  load.stdin.end();
  const longest = Math.max(...times);
  const { requests, failed } = JSON.parse(await printed) as { requests: number; failed: number };
  const rounded = (ms: number) => Math.round(ms * 10) / 10;
  return {
    [`${name}Ms`]: rounded(median(times)),
    [`${name}MaxMs`]: rounded(longest),
    [`${name}MaxWaitedMs`]: rounded(waits[times.indexOf(longest)] ?? Number.NaN),
    [`${name}MaxOnACoreMs`]: rounded(Math.max(...times.map((ms, round) => ms - (waits[round] ?? 0)))),
    [`${name}Lost`]: `${failed} of ${requests} requests, ${endStreams()} of ${streams} streams`,
  };
}

/** The parts of a switch by themselves: a question to hostd, which it refuses, and the change of an element by an nft that stays and by one for each. */
async function parts(): Promise<Record<string, number>> {
  const element = (at: number) => `inet berth_answers answers { 10.101.255.250 . 3000 : 10.100.0.${at} . 3000 }`;
  const script = (round: number) =>
    `delete element ${element(3 + (round % 2))}\nadd element ${element(4 - (round % 2))}\n`;
  host('nft', `add element ${element(3)}`);
  const session = openNftSession();
  const subjects: [string, (round: number) => Promise<unknown>][] = [
    ['askMs', () => hostd.ask({ verb: 'switch-answers', address: '192.0.2.1', to: null }).catch(() => undefined)],
    ['nftMs', (round) => session.apply(script(round))],
    ['nftProcessMs', (round) => must(['nft', '--file', '-'], { input: script(round) })],
  ];
  const found: Record<string, number> = {};
  for (const [name, change] of subjects) {
    const times: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const begun = performance.now();
      if ((await change(round)) === false) throw new Error(`${name} failed`);
      times.push(performance.now() - begun);
    }
    found[name] = Math.round(median(times) * 10) / 10;
  }
  session.close();
  host('nft', `delete element ${element(3)}`);
  return found;
}

startHostd();
await startStandIns();
const routes = await openCaddyRoutes(settings, {
  hostd,
  log: silentLog,
  basicAuthOf: () => Promise.resolve(null),
  statusPage: () => Promise.reject(new Error('nobody asks for it')),
});
for (let filled = 0; filled < count; filled += together) {
  const size = Math.min(together, count - filled);
  await Promise.all(Array.from({ length: size }, (_, index) => routes.ensure(routeTo(filled + 1 + index, 1))));
}
const next = (round: number) => count + 1 + round;
const row: BenchRow = {
  subject: `${count} previews`,
  ...(await parts()),
  ...(await underLoad('switch', (round) => routes.ensure(routeTo(1, 1 + ((round + 1) % 2))))),
  ...(await underLoad('create', (round) => routes.ensure(routeTo(next(round), 1)))),
  ...(await underLoad('close', (round) => routes.remove(slugOf(next(round))))),
};
console.log(JSON.stringify(row));
process.exit(0);
