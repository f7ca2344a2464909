/**
 * From the 202 to the first good answer at the preview's URL, for a first open and for an update, with its parts: what is ours, and what the tools and the
 * app take on their own in the same run (git, CREATE DATABASE, bubblewrap and Node.js). The parts add up to the total. What a busy machine adds to a
 * process in the middle of others shows as ours; on an idle one there is no such part. All of it twice: alone, and beside many live previews.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { startFakeGitHub, type FakeGitHub } from '../../test/support/fake-github.ts';
import type { FakePullRequest } from '../../test/support/fake-github/pull-request.ts';
import { startOperatorProcess, type OperatorProcess } from '../../test/support/operator-process.ts';
import { storedUrl } from '../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import type { Sha } from '../../webhook/core/pull-request.ts';
import { APP_FILES } from '../demo/app-files.ts';
import { get as getThroughGateway } from '../demo/steady-load.ts';
import { createDatabaseAlone, dropDatabaseAlone } from './parts/database-alone.ts';
import { fetchAlone, initAlone, placeAlone } from './parts/git-alone.ts';
import { printMeasured, type BenchRow } from './parts/report.ts';
import { untilShown, watchEndings, type Endings } from './parts/until-shown.ts';
import { rowsOf, SETTLED_MS, stopwatch, type MeasuredPart, type Times } from './parts/steps.ts';

const ROUNDS = 11;
/** What is ours must not grow with them. Each is three processes. */
const BESIDE = 100;
const SECRET = '0123456789abcdef'.repeat(4);

export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => ({ bench: 'preview', rounds: ROUNDS, rows: await measure() }));
}

async function measure(): Promise<BenchRow[]> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.adopt(await mkdtemp(join(tmpdir(), 'berth-pbench-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  await chmod(directory, 0o711);
  const github = stack.use(await startFakeGitHub());
  const { apiUrl, cloneBase, token } = github;
  const operator = stack.adopt(
    await startOperatorProcess({
      directory,
      apiUrl,
      cloneBase,
      token,
      repositories: ['acme/*'],
      webhookSecret: SECRET,
      gatewayPort: 0,
    }),
    (each) => each.stop(),
  );
  github.deliverTo({ url: `${operator.webhookUrl}/webhook/github`, secret: SECRET });
  const database = new Client({ connectionString: await storedUrl(join(operator.stateDirectory, 'postgres')) });
  await database.connect();
  stack.defer(() => database.end());

  const bench: Bench = { directory, github, operator, database, endings: await watchEndings(database) };
  const alone = await rowsOfRounds(bench, '');
  const beside = await openMany(bench, BESIDE);
  const crowded = await rowsOfRounds(bench, ` beside ${BESIDE} others`);
  await Promise.all(beside.map((pull) => pull.close()));
  for (const pull of beside) await untilGone(database, pull);
  return [...alone, ...crowded];
}

interface Bench {
  readonly directory: string;
  readonly github: FakeGitHub;
  readonly operator: OperatorProcess;
  readonly database: Client;
  readonly endings: Endings;
}

/** Previews of pull requests that nobody touches, live when this resolves. */
async function openMany(bench: Bench, count: number): Promise<FakePullRequest[]> {
  const pulls: FakePullRequest[] = [];
  const repository = await bench.github.addRepository('acme/others', APP_FILES);
  for (let at = 1; at <= count; at += 1) {
    await repository.commit(`feature-${at}`, { 'message.txt': `other ${at}` });
    const pull = await repository.openPullRequest({ head: `feature-${at}` });
    await partsOf(bench, pull);
    pulls.push(pull);
    if (at % 10 === 0) console.error(`${at} of ${count} others are live`);
  }
  return pulls;
}

/** Opens and updates some previews, one after another, and closes them again. `where` tells these rows from others. */
async function rowsOfRounds(bench: Bench, where: string): Promise<BenchRow[]> {
  const { directory, github, operator, database } = bench;
  const opens: MeasuredPart[] = [];
  const updates: MeasuredPart[] = [];
  // Round 0 fills caches and does not count.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const repository = await github.addRepository(`acme/app${round}${where.replaceAll(' ', '-')}`, APP_FILES);
    await repository.commit('feature', { 'message.txt': `round ${round}` });
    const began = performance.now();
    const pull = await repository.openPullRequest({ head: 'feature' });
    const open = await partsOf(bench, pull);
    if (round === 0) console.error(`the first${where}: ${Math.round(performance.now() - began)} ms`);
    // Between the two: the speed of a machine changes.
    const instances = join(operator.stateDirectory, 'instances');
    const alone = await aloneTimes(join(directory, `tools${round}`), { github, pull, database, instances });
    await delay(SETTLED_MS);
    await pull.push({ 'message.txt': `round ${round}, again` });
    const update = await partsOf(bench, pull);
    await pull.close();
    await untilGone(database, pull);
    if (round === 0) continue;
    opens.push({ times: open, alone });
    updates.push({ times: update, alone });
  }
  return [
    ...rowsOf(`open${where}`, opens, (step) => toolsOf(step, 'open')),
    ...rowsOf(`update${where}`, updates, (step) => toolsOf(step, 'update')),
  ];
}

/** What tools and the app do in a step. */
function toolsOf(step: string, kind: 'open' | 'update'): string[] {
  switch (step) {
    case 'fetch-source':
      return kind === 'open' ? ['git init', 'git fetch'] : ['git fetch'];
    case 'read-manifest':
      return ['git read'];
    case 'place-source':
      return [kind === 'open' ? 'git place beside CREATE ROLE and DATABASE' : 'git place'];
    case 'set-up':
      return ['the app’s setup in bubblewrap'];
    case 'start':
    case 'check-health':
      return ['the app’s boot in bubblewrap'];
    default:
      return [];
  }
}

/** Called right after the 202: the time until the URL shows the head, and what the operator wrote down for each step. */
async function partsOf({ operator, database, endings }: Bench, pull: FakePullRequest): Promise<Times> {
  const slug = `${pull.base.name}-${pull.number}`;
  const target = { port: operator.gatewayPort, host: `${slug}.localhost:${operator.gatewayPort}`, path: '/commit' };
  const isShown = async () => (await getThroughGateway(target).catch(() => null)) === pull.head;
  const total = await untilShown(endings, slug, isShown).catch((cause: unknown) => {
    throw new Error(`${slug} did not come up: see ${operator.logFile}`, { cause });
  });
  for (;;) {
    const { rows } = await database.query<{ timings: Times }>(
      'select timings from berth.instances where revision_sha = $1',
      [pull.head],
    );
    const timings = rows[0]?.timings ?? {};
    if ('switch-route' in timings) return { ...timings, total };
    await delay(10);
  }
}

async function untilGone(database: Client, pull: FakePullRequest): Promise<void> {
  const key = `${pull.base.id}/pull/${pull.number}`;
  while ((await database.query('select from berth.previews where key = $1', [key])).rowCount !== 0) await delay(20);
}

interface ToolWork {
  readonly github: FakeGitHub;
  readonly pull: FakePullRequest;
  readonly database: Client;
  /** The directory that the operator keeps its instances in. */
  readonly instances: string;
}

/** The same work by the tools alone, on the same commit, in the sandbox that the operator made for it. */
async function aloneTimes(directory: string, { github, pull, database, instances }: ToolWork): Promise<Times> {
  const mirror = join(directory, 'mirror.git');
  const sha = pull.head as Sha;
  const remote = { url: `${github.cloneBase}/${pull.base.fullName}.git`, scheme: 'file', token: null };
  const { times, timed } = stopwatch();
  await initAlone(mirror, timed);
  await fetchAlone(mirror, { remote, sha }, timed);
  await timed('git place', () => placeAlone(mirror, sha));
  // As the operator does it: on the same cores, at once.
  await timed('git place beside CREATE ROLE and DATABASE', () =>
    Promise.all([placeAlone(mirror, sha), createDatabaseAlone(database)]),
  );
  await dropDatabaseAlone(database);
  const launch = await launchOf(instances, sha, database);
  await timed('the app’s setup in bubblewrap', async () => {
    const words = [...launch.argv.slice(0, launch.argv.lastIndexOf('--') + 1), 'node', 'setup.js'];
    await once(spawnAlone({ ...launch, argv: words }), 'exit');
  });
  await timed('the app’s boot in bubblewrap', () => appBoot(launch));
  await rm(directory, { recursive: true, force: true });
  return times;
}

interface AppLaunch {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** How the operator starts the service of the instance that holds this commit. */
async function launchOf(instances: string, sha: Sha, database: Client): Promise<AppLaunch> {
  const { rows } = await database.query<{ id: number }>('select id from berth.instances where revision_sha = $1', [
    sha,
  ]);
  const run = JSON.parse(await readFile(join(instances, `p${rows[0]?.id}`, 'run.json'), 'utf8')) as {
    services: { launch: AppLaunch }[];
  };
  const launch = run.services[0]?.launch;
  if (launch === undefined) throw new Error('the app has no service');
  return launch;
}

function spawnAlone({ argv: [program = '', ...words], cwd, env }: AppLaunch): ChildProcess {
  return spawn(program, words, { cwd, env: { ...env }, stdio: 'ignore' });
}

async function appBoot(launch: AppLaunch): Promise<void> {
  const port = 9_000 + Math.floor(Math.random() * 1_000);
  const child = spawnAlone({ ...launch, env: { ...launch.env, PORT: String(port), HOST: BOOT_ADDRESS } });
  const ended = once(child, 'exit');
  try {
    while (!(await answers(port))) await delay(1);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

/** An address that no preview has. */
const BOOT_ADDRESS = '127.99.0.1';

/** Whether the app gives its first good answer: what our health check waits for as well. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    get({ host: BOOT_ADDRESS, port, path: '/commit', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).once('error', () => resolve(false));
  });
}
