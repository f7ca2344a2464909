/**
 * Runs inside the test host, `lives.ts ROUNDS BESIDE`: lives of previews one after another, with the time of each part, and in the middle of each what tools and app
 * take of it alone; then the same beside some other previews. Its last line of output is JSON.
 */
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { hostd } from '../../../test/host/inside/a-host-runtime.ts';
import { anOperator, askCaddy, preview, shopAt, token } from '../../../test/host/inside/an-operator.ts';
import type { FakePullRequest } from '../../../test/support/fake-github/pull-request.ts';
import { instanceNameOf, type InstanceName } from '../../../webhook/core/names.ts';
import type { Sha } from '../../../webhook/core/pull-request.ts';
import { openNftSession } from '../../../webhook/hostd/nft-session.ts';
import { settingsFrom } from '../../../webhook/hostd/settings.ts';
import { createDatabaseAlone, dropDatabaseAlone } from '../parts/database-alone.ts';
import { fetchAlone, initAlone, placeAlone } from '../parts/git-alone.ts';
import type { BenchRow } from '../parts/report.ts';
import {
  rowsOf,
  rowsOfWhole,
  SETTLED_MS,
  stopwatch,
  type MeasuredPart,
  type Timed,
  type Times,
} from '../parts/steps.ts';
import { until, untilShown, watchEndings } from '../parts/until-shown.ts';
import { caddyAlone, containerAlone, nodeAlone } from './tools-alone.ts';

const [rounds, beside] = [Number(process.argv[2]), Number(process.argv[3])];
/** What is done at once when the files of a commit are placed. */
const PLACING = {
  open: 'git place beside CREATE ROLE and DATABASE beside nixos-container create, mkfs.ext4 and mount',
  update: 'git place beside nixos-container create, mkfs.ext4 and mount',
} as const;
/** Slots that the operator, which takes the lowest, does not get to. */
const aloneSlots = [30_001, 30_002] as const;
const mirror = '/var/lib/berth-bench/mirror.git';
const atEnd: (() => unknown)[] = [];
const github = await anOperator({ after: (work: () => unknown) => atEnd.push(work) } as unknown as TestContext);
const cloneUrl = /^clone_url = "(.*)"$/m.exec(readFileSync('/etc/berth/berth.toml', 'utf8'))?.[1] ?? '';
const repository = await github.addRepository('acme/shop', shopAt('0'));
const database = new Client({ host: '/run/postgresql', user: 'postgres', database: 'berth' });
await database.connect();
const endings = await watchEndings(database);
const nft = openNftSession();
const settings = settingsFrom(['--operator-uid=970', '--operator-gid=970', '--caddyfile=/etc/caddy/Caddyfile']);

function shown(slug: string, text: string): Promise<number> {
  return untilShown(
    endings,
    slug,
    async () => (await askCaddy(`${slug}.preview.test`).catch(() => null))?.text === text,
  );
}

interface Instance {
  readonly name: InstanceName;
  readonly timings: Times;
}

/** Instances of the preview, the newest first. */
async function instancesOf(slug: string): Promise<Instance[]> {
  const { rows } = await database.query<{ slot: number; timings: Times }>(
    `select slot, timings from berth.instances i join berth.previews p on p.id = preview_id join berth.slots on instance_id = i.id
     where p.slug = $1 order by i.id desc`,
    [slug],
  );
  return rows.map(({ slot, timings }) => ({ name: instanceNameOf(slot), timings }));
}

/** Nothing is under way: it is live, the last instance has its times, and one that was replaced is stopped. */
async function atRest(slug: string): Promise<void> {
  await until(async () => {
    const { previews } = JSON.parse(await preview('list', '--json')) as {
      previews: { slug: string; status: string }[];
    };
    return previews.find((each) => each.slug === slug)?.status === 'live';
  }, `${slug} is live`);
  await until(async () => {
    const own = await instancesOf(slug);
    const running = (await hostd.ask({ verb: 'list-containers' })).filter((each) => each.state === 'running');
    const ownRunning = running.filter((each) => own.some(({ name }) => name === each.name));
    return own[0] !== undefined && 'switch-route' in own[0].timings && ownRunning.length === 1;
  }, `${slug} is at rest`);
}

interface Life {
  readonly open: Times;
  readonly update: Times;
  readonly rollback: Times;
  readonly close: Times;
  readonly alone: Times;
}

async function opened(round: string): Promise<{ pull: FakePullRequest; slug: string; total: number }> {
  await repository.commit(`feature-${round}`, shopAt(`${round}a`), 'One');
  const pull = await repository.openPullRequest({ head: `feature-${round}` });
  const slug = `shop-${pull.number}`;
  const total = await shown(slug, `version ${round}a`);
  await atRest(slug);
  return { pull, slug, total };
}

async function aLife(round: string): Promise<Life> {
  const { pull, slug, total } = await opened(round);
  const open = { ...(await instancesOf(slug))[0]?.timings, total };

  // In the middle of the life: the speed of a machine changes.
  const alone = await toolsAlone(slug, pull);
  // The kernel is not done with what was removed at its end.
  await delay(SETTLED_MS);
  await pull.push(shopAt(`${round}b`));
  const updated = await shown(slug, `version ${round}b`);
  await atRest(slug);
  const update = { ...(await instancesOf(slug))[0]?.timings, total: updated };

  const rolling = preview('rollback', slug);
  const rolledBack = await shown(slug, `version ${round}a`);
  await rolling;
  await atRest(slug);

  await pull.close();
  const closing = performance.now();
  await endings.gone(slug);
  return { open, update, rollback: { total: rolledBack }, close: { total: performance.now() - closing }, alone };
}

/** The tools and the app of a life, without the operator, on this preview's newest instance and its commit. */
async function toolsAlone(slug: string, pull: FakePullRequest): Promise<Times> {
  const { times, timed } = stopwatch();
  const remote = { url: `${cloneUrl}/acme/shop.git`, scheme: 'http', token };
  const sha = pull.head as Sha;
  await fetchAlone(mirror, { remote, sha }, timed);
  await caddyAlone(settings, `/etc/caddy/previews/${slug}.caddy`, timed);
  await nodeAlone(timed);
  const [original] = await instancesOf(slug);
  if (original === undefined) throw new Error(`${slug} has no instance`);
  const [first, second] = aloneSlots.map((slot) => containerAlone({ settings, nft }, slot, original.name));
  if (first === undefined || second === undefined) throw new Error('two containers are needed');
  // As the operator does it: on the same cores, at once.
  await timed(PLACING.open, () =>
    Promise.all([placeAlone(mirror, sha), createDatabaseAlone(database), first.create()]),
  );
  await timed('DROP DATABASE and ROLE', () => dropDatabaseAlone(database));
  await first.open(timed);
  await first.stop();
  await timed(PLACING.update, () => Promise.all([placeAlone(mirror, sha), second.create()]));
  await second.open(async (_, work) => work());
  await first.startAgain(again(timed));
  await second.stop();
  // As at a close: the one that answers and the one that was replaced.
  await timed('both containers’ end and nixos-container destroy', () => Promise.all([first.remove(), second.remove()]));
  // The operator does them side by side: the longer one.
  const beside = Math.max(times['git fetch'] ?? 0, times['Caddy’s adapt'] ?? 0);
  return { ...times, 'git fetch beside Caddy’s adapt': beside };
}

const again =
  (timed: Timed): Timed =>
  (name, work) =>
    timed(`${name}, again`, work);

// The first life also builds the closure and fetches the repository: it is not counted.
await initAlone(mirror, stopwatch().timed);
await aLife('first');
const alone: Life[] = [];
for (let round = 1; round <= rounds; round += 1) alone.push(await aLife(`${round}`));
for (let other = 1; other <= beside; other += 1) await opened(`other-${other}`);
const crowded: Life[] = [];
for (let round = 1; round <= rounds; round += 1) crowded.push(await aLife(`${round}-beside`));
nft.close();
await database.end();
for (const work of atEnd.toReversed()) await work();

/** What tools and the app do in a step. No Nix runs for a closure that is there. */
const toolsOf =
  (kind: 'open' | 'update') =>
  (step: string): string[] => {
    switch (step) {
      case 'fetch-source':
        return [kind === 'open' ? 'git fetch beside Caddy’s adapt' : 'git fetch'];
      case 'read-manifest':
        return ['git read'];
      case 'place-source':
        return [PLACING[kind]];
      case 'set-up':
        return ['tar', 'the container’s boot', 'the app’s setup'];
      case 'start':
        return ['the app’s start by the guest’s systemd'];
      case 'check-health':
        return ['the app’s boot'];
      case 'switch-route':
        return kind === 'open' ? ['Caddy’s adapt'] : [];
      default:
        return [];
    }
  };

/** `where` tells these rows from others. */
function rowsOfLives(lives: readonly Life[], where: string): BenchRow[] {
  const parts = (part: 'open' | 'update' | 'rollback' | 'close'): MeasuredPart[] =>
    lives.map((life) => ({ times: life[part], alone: life.alone }));
  return [
    ...rowsOf(`open${where}`, parts('open'), toolsOf('open')),
    ...rowsOf(`update${where}`, parts('update'), toolsOf('update')),
    ...rowsOfWhole(`rollback${where}`, parts('rollback'), [
      'the command’s start: Node.js',
      'the container’s boot, again',
      'the app’s start by the guest’s systemd, again',
      'the app’s boot, again',
    ]),
    ...rowsOfWhole(`close${where}`, parts('close'), [
      'both containers’ end and nixos-container destroy',
      'DROP DATABASE and ROLE',
    ]),
  ];
}
console.log(JSON.stringify([...rowsOfLives(alone, ''), ...rowsOfLives(crowded, ` beside ${beside} others`)]));
process.exit(0);
