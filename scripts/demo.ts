/**
 * npm run demo: the whole story on this machine, without root, Nix or a GitHub account. The service is the real one, in a process of its own; GitHub
 * is a stand-in on loopback with real git repositories behind it.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emitKeypressEvents } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pico from 'picocolors';
import { startFakeGitHub, type FakeGitHub } from '../test/support/fake-github.ts';
import { storedUrl } from '../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import { APP_FILES } from './demo/app-files.ts';
import { takeInventory, type Inventory } from './demo/inventory.ts';
import { startOperatorProcess, type OperatorProcess } from '../test/support/operator-process.ts';
import { get, startSteadyLoad, type LoadTarget } from './demo/steady-load.ts';

const USAGE = `npm run demo -- [--once] [--port 8080]

Opens a pull request, shows its preview, pushes a commit under load, closes it, and counts what is left.

  --once        run the whole story, check each step, and exit 0 or 1; without it the preview stays up
  --port PORT   where previews are served (default 8080; with --once any free port)
  --help        this text`;

const REPOSITORY = 'acme/shop';
const REQUESTS_PER_SECOND = 200;
const STEP_TIMEOUT_MS = 15_000;
/** Load before the push and after the new commit is shown, so that the switch lies well inside. */
const LOAD_MARGIN_MS = 1_000;

type Pull = Awaited<ReturnType<Awaited<ReturnType<FakeGitHub['addRepository']>>['openPullRequest']>>;

interface Demo {
  readonly github: FakeGitHub;
  readonly operator: OperatorProcess;
  readonly pull: Pull;
  readonly target: LoadTarget;
}

/** A step that did not end as it must. */
class DemoFailure extends Error {}

async function step<T>(text: string, act: () => Promise<T>, result: (value: T) => string = () => ''): Promise<T> {
  const startedAt = performance.now();
  const value = await act();
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(2).padStart(6);
  const more = result(value);
  console.log(`${pico.green('✓')} ${pico.dim(`${seconds} s`)}  ${text}${more === '' ? '' : pico.dim(`  ${more}`)}`);
  return value;
}

/** Waits for a condition that other processes bring about; looks often, because the time until then is what is shown. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + STEP_TIMEOUT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline)
      throw new DemoFailure(`${what} did not come about within ${STEP_TIMEOUT_MS / 1_000} s`);
    await delay(10);
  }
}

const showsCommit = (demo: Demo, sha: string) => async () => (await get(demo.target).catch(() => null)) === sha;

async function openFirst(github: FakeGitHub, operator: OperatorProcess): Promise<Demo> {
  const repository = await github.addRepository(REPOSITORY, APP_FILES);
  await repository.commit('greeting', { 'message.txt': 'Hello from the first commit' });
  const pull = await step('pull request opened; its signed delivery was answered 202', () =>
    repository.openPullRequest({ head: 'greeting', title: 'A friendlier greeting' }),
  );
  const slug = `shop-${pull.number}`;
  const demo = {
    github,
    operator,
    pull,
    target: { port: operator.gatewayPort, host: `${slug}.localhost:${operator.gatewayPort}`, path: '/commit' },
  };
  await step(
    'the preview answers at its own URL, on that commit',
    () => until('the first commit at its URL', showsCommit(demo, pull.head)),
    () => urlOf(demo),
  );
  return demo;
}

function urlOf(demo: Demo): string {
  return `http://${demo.target.host}/`;
}

async function pushUnderLoad(demo: Demo): Promise<void> {
  const load = startSteadyLoad(demo.target, REQUESTS_PER_SECOND);
  await delay(LOAD_MARGIN_MS);
  const before = demo.pull.head;
  await demo.pull.push({ 'message.txt': `Hello again, at ${new Date().toLocaleTimeString()}` });
  const after = demo.pull.head;
  await step('pushed a commit; the URL shows it', () =>
    until('the pushed commit at its URL', showsCommit(demo, after)),
  );
  await delay(LOAD_MARGIN_MS);
  const result = await load.stop();
  const [old = 0, fresh = 0] = [before, after].map((sha) => result.bodies.get(sha) ?? 0);
  const summary = `${result.failed} failed of ${result.requests} requests (${REQUESTS_PER_SECOND} a second): ${old} saw the old commit, ${fresh} the new one`;
  if (result.failed > 0) throw new DemoFailure(`${summary}\n${result.failures.join('\n')}`);
  console.log(`${pico.green('✓')}           ${summary}`);
}

async function commentSays(demo: Demo, ...texts: string[]): Promise<void> {
  await step(
    'the pull request was told',
    () =>
      until(`a comment with "${texts.join('" and "')}"`, async () =>
        demo.pull.comments.some((comment) => texts.every((text) => comment.body.includes(text))),
      ),
    () => {
      const lines =
        demo.pull.comments[0]?.body.split('\n').filter((line) => line !== '' && !line.startsWith('<!--')) ?? [];
      return `"${lines[0] ?? ''}"`;
    },
  );
}

async function closeAndCount(demo: Demo, databaseUrl: string): Promise<void> {
  await demo.pull.close();
  let left: Inventory = {};
  const isGone = async () => {
    left = await takeInventory(demo.operator.stateDirectory, databaseUrl);
    return Object.values(left).every((count) => count === 0);
  };
  try {
    await step('pull request closed; nothing is left', () => until('an empty inventory', isGone));
  } finally {
    for (const [name, count] of Object.entries(left))
      console.log(`           ${count === 0 ? pico.green('0') : pico.red(String(count))} ${name}`);
  }
}

/** Reads keys until q: p pushes, c closes and reopens. */
async function stayUp(demo: Demo, databaseUrl: string): Promise<void> {
  console.log(`\nOpen ${pico.bold(urlOf(demo))} in a browser. The operator’s log is ${demo.operator.logFile}.`);
  console.log(`npm run -s preview -- --socket ${join(demo.operator.stateDirectory, 'run/operator.sock')} list`);
  if (!process.stdin.isTTY) {
    console.log('Stop with Ctrl-C.');
    // Until the signal, which stops all of this.
    return new Promise<void>(() => undefined);
  }
  console.log('p pushes a commit, c closes the pull request, o opens it again, q ends the demonstration.');
  emitKeypressEvents(process.stdin);
  process.stdin.setRawMode(true);
  const keys = process.stdin.resume();
  try {
    for (;;) {
      const key = await new Promise<{ name?: string; ctrl?: boolean }>((resolve) =>
        keys.once('keypress', (_text, pressed: object) => resolve(pressed)),
      );
      if (key.name === 'q' || (key.ctrl === true && key.name === 'c')) return;
      if (key.name === 'p') await pushUnderLoad(demo);
      if (key.name === 'c') await closeAndCount(demo, databaseUrl);
      if (key.name === 'o') {
        await demo.pull.reopen();
        await step('reopened; the preview answers', () =>
          until('the preview at its URL', showsCommit(demo, demo.pull.head)),
        );
      }
    }
  } finally {
    process.stdin.setRawMode(false);
    process.stdin.pause();
  }
}

/** Addresses that an operator of this machine, or another demonstration, hardly has. */
function ownPool(): string {
  return `127.${101 + (process.pid % 128)}.0.0/21`;
}

/** From the first moment on: whenever somebody stops us or closes our terminal, everything is stopped and removed. */
function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}

async function tell(once: boolean, port: number): Promise<void> {
  const stopAsked = firstSignal();
  await using stack = new AsyncDisposableStack();
  const directory = stack.adopt(await mkdtemp(join(tmpdir(), 'berth-demo-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  // As root, PostgreSQL and the apps run as other users, who have to pass through.
  await chmod(directory, 0o711);
  const webhookSecret = randomBytes(32).toString('hex');
  const github = stack.use(await startFakeGitHub());
  const operator = stack.adopt(
    await step('the operator is ready (its own PostgreSQL included)', () =>
      startOperatorProcess({
        directory,
        repositories: [REPOSITORY],
        apiUrl: github.apiUrl,
        cloneBase: github.cloneBase,
        token: github.token,
        webhookSecret,
        gatewayPort: port,
        pool: ownPool(),
      }),
    ),
    (each) => each.stop(),
  );
  github.deliverTo({ url: `${operator.webhookUrl}/webhook/github`, secret: webhookSecret });
  const databaseUrl = await storedUrl(join(operator.stateDirectory, 'postgres'));

  const story = async (): Promise<null> => {
    const demo = await openFirst(github, operator);
    await commentSays(demo, 'is live');
    if (!once) return stayUp(demo, databaseUrl).then(() => null);
    await pushUnderLoad(demo);
    await commentSays(demo, 'is live', demo.pull.head);
    await closeAndCount(demo, databaseUrl);
    await commentSays(demo, 'removed');
    return null;
  };
  try {
    const signal = await Promise.race([story(), stopAsked]);
    if (signal !== null && once) throw new DemoFailure(`stopped by ${signal}`);
  } catch (error) {
    const lines = (await readFile(operator.logFile, 'utf8')).trimEnd().split('\n').slice(-LOG_LINES_TOLD);
    console.error(pico.dim(`The operator’s last words:\n${lines.join('\n')}\n`));
    throw error;
  }
}

const LOG_LINES_TOLD = 20;

async function main(): Promise<number> {
  const options = {
    once: { type: 'boolean', default: false },
    port: { type: 'string' },
    help: { type: 'boolean', default: false },
  } as const;
  let values: { once: boolean; port?: string; help: boolean };
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const port = Number(values.port ?? (values.once ? 0 : 8080));
  if (values.help || !Number.isInteger(port) || port < 0 || port > 65_535) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  try {
    await tell(values.once, port);
    return 0;
  } catch (error) {
    console.error(`${pico.red('✗')} ${error instanceof DemoFailure ? error.message : (error as Error).stack}`);
    return 1;
  }
}

// A story that was stopped may still have a load running.
process.exit(await main());
