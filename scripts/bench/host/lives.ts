/** Runs inside the test host: lives of previews one after another, with the time of each part. Its last line of output is JSON. */
import type { TestContext } from 'node:test';
import { eventually, host } from '../../../test/host/inside/a-host-runtime.ts';
import { anOperator, askCaddy, preview, shopAt } from '../../../test/host/inside/an-operator.ts';
import { median } from '../report.ts';

/** Whose time a step takes for the most part: ours, a tool's (git, PostgreSQL, Nix, nixos-container, Caddy), or the app's own setup and boot. */
const whose: Record<string, string> = {
  'open-route': 'tool',
  'fetch-source': 'tool',
  'place-source': 'tool',
  'ensure-database': 'tool',
  'build-system': 'tool',
  'set-up': 'tool and app',
  start: 'tool and app',
  'check-health': 'app',
};

const rounds = Number(process.argv[2]);
const atEnd: (() => unknown)[] = [];
const github = await anOperator({ after: (work: () => unknown) => atEnd.push(work) } as unknown as TestContext);
const repository = await github.addRepository('acme/shop', shopAt('0'));
/** Milliseconds by life and part, one value a round. */
const times = new Map<string, number[]>();
const note = (life: string, part: string, ms: number) => {
  const key = `${life}\t${part}`;
  times.set(key, [...(times.get(key) ?? []), ms]);
};

async function shown(hostName: string, text: string): Promise<void> {
  await eventually(async () => (await askCaddy(hostName).catch(() => null))?.text === text, `${hostName}: ${text}`);
}

/** What the newest instance of the preview recorded, and what is left of the whole. */
function noteSteps(life: string, slug: string, totalMs: number): void {
  const query = `select i.timings from berth.instances i join berth.previews p on p.id = i.preview_id where p.slug = '${slug}' order by i.id desc limit 1`;
  const steps = JSON.parse(host('psql', '-XAtU', 'postgres', '-d', 'berth', '-c', query)) as Record<string, number>;
  for (const [step, ms] of Object.entries(steps)) note(life, step, ms);
  const sum = Object.values(steps).reduce((all, ms) => all + ms, 0);
  note(life, 'queue, looking, saving, less what ran side by side', totalMs - sum);
  note(life, 'total', totalMs);
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
  if (counted) noteSteps('open', slug, opened);

  const pushed = performance.now();
  await pull.push(shopAt(`${round}b`));
  await shown(hostName, `version ${round}b`);
  const updated = performance.now() - pushed;
  await eventually(async () => (await preview('list', '--json')).includes('"live"'), 'it is live');
  if (counted) noteSteps('update', slug, updated);

  const asked = performance.now();
  const rolling = preview('rollback', slug);
  await shown(hostName, `version ${round}a`);
  if (counted) note('rollback', 'total, the command’s start included', performance.now() - asked);
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
  if (counted) note('close', 'total, until nothing is left', performance.now() - closed);
}
for (const work of atEnd.toReversed()) await work();

const rows = [...times].map(([key, values]) => {
  const [life = '', part = ''] = key.split('\t');
  return {
    subject: `${life}: ${part}`,
    ms: Math.round(median(values)),
    whose: part.startsWith('total') ? '' : (whose[part] ?? 'ours'),
  };
});
console.log(JSON.stringify(rows));
process.exit(0);
