/** Runs inside the test host: lives of previews one after another, with the time of each part. Its last line of output is JSON. */
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, host } from '../../../test/host/inside/a-host-runtime.ts';
import { anOperator, askCaddy, preview, shopAt } from '../../../test/host/inside/an-operator.ts';
import { median } from '../parts/report.ts';
import { medians, rowsOf, SETTLED_MS, type Times } from '../parts/steps.ts';

/** Steps in which most of the time is a tool's (git, PostgreSQL, Nix, nixos-container, Caddy) or the app's; the whole step counts as theirs. */
const THEIRS: Readonly<Record<string, string>> = {
  'open-route': 'Caddy',
  'fetch-source': 'git',
  'place-source': 'git',
  'ensure-database': 'PostgreSQL',
  'build-system': 'Nix',
  'set-up': 'the container’s boot and the app’s setup',
  start: 'systemd',
  'check-health': 'the app’s boot',
};

const rounds = Number(process.argv[2]);
const atEnd: (() => unknown)[] = [];
const github = await anOperator({ after: (work: () => unknown) => atEnd.push(work) } as unknown as TestContext);
const repository = await github.addRepository('acme/shop', shopAt('0'));
const opens: Times[] = [];
const updates: Times[] = [];
const rollbacks: number[] = [];
const closes: number[] = [];

async function shown(hostName: string, text: string): Promise<void> {
  await eventually(async () => (await askCaddy(hostName).catch(() => null))?.text === text, `${hostName}: ${text}`);
}

/** What the newest instance of the preview recorded. */
function stepsOf(slug: string): Times {
  const query = `select i.timings from berth.instances i join berth.previews p on p.id = i.preview_id where p.slug = '${slug}' order by i.id desc limit 1`;
  return JSON.parse(host('psql', '-XAtU', 'postgres', '-d', 'berth', '-c', query)) as Times;
}

// The first life also builds the closure and fetches the repository: it is not counted.
for (let round = 0; round <= rounds; round += 1) {
  const counted = round > 0;
  await repository.commit(`feature-${round}`, shopAt(`${round}a`), 'One');
  const begun = performance.now();
  const pull = await repository.openPullRequest({ head: `feature-${round}` });
  const slug = `shop-${pull.number}`;
  const hostName = `${slug}.preview.test`;
  await shown(hostName, `version ${round}a`);
  const opened = performance.now() - begun;
  await eventually(async () => (await preview('list', '--json')).includes('"live"'), 'it is live');
  if (counted) opens.push({ ...stepsOf(slug), total: opened });

  await delay(SETTLED_MS);
  const pushed = performance.now();
  await pull.push(shopAt(`${round}b`));
  await shown(hostName, `version ${round}b`);
  const updated = performance.now() - pushed;
  await eventually(async () => (await preview('list', '--json')).includes('"live"'), 'it is live');
  if (counted) updates.push({ ...stepsOf(slug), total: updated });

  const asked = performance.now();
  const rolling = preview('rollback', slug);
  await shown(hostName, `version ${round}a`);
  if (counted) rollbacks.push(performance.now() - asked);
  await rolling;

  const closed = performance.now();
  await pull.close();
  const left = () =>
    host(
      'psql',
      '-XAtU',
      'postgres',
      '-d',
      'berth',
      '-c',
      `select count(*) from berth.previews where slug = '${slug}'`,
    );
  await eventually(() => left() === '0', 'it is gone');
  if (counted) closes.push(performance.now() - closed);
}
for (const work of atEnd.toReversed()) await work();

const theirsOf = (step: string): [string, number][] => {
  const whose = THEIRS[step];
  return whose === undefined ? [] : [[whose, Infinity]];
};
const whole = (subject: string, all: readonly number[]) => ({ subject, ms: Math.round(median(all)), ours: null });
console.log(
  JSON.stringify([
    ...rowsOf('open', medians(opens), theirsOf),
    ...rowsOf('update', medians(updates), theirsOf),
    whole('rollback: total, the command’s start included', rollbacks),
    whole('close: total, until nothing is left', closes),
  ]),
);
process.exit(0);
