/**
 * npm run demo: the whole story on this machine, without root, Nix or a GitHub account. The service is the real one, in a process of its own; GitHub
 * is a stand-in on loopback with real git repositories behind it.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pico from 'picocolors';
import { startFakeGitHub, type FakeGitHub } from '../test/support/fake-github.ts';
import { storedUrl } from '../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import { APP_FILES } from './demo/app-files.ts';
import { takeInventory, type Inventory } from './demo/inventory.ts';
import { startOperatorProcess, type OperatorProcess } from '../test/support/operator-process.ts';
import { actOnKeys } from './demo/keys.ts';
import { endProcessesBelow } from './demo/processes.ts';
import { get, objectionTo, underSteadyLoad, type LoadTarget } from './demo/steady-load.ts';

const USAGE = `npm run demo -- [--once] [--port 8080]

Opens a pull request, shows its preview, pushes a commit under load, closes it, and counts what is left.

  --once        run the whole story, check each step, and exit 0 or 1; without it the preview stays up
  --port PORT   where previews are served (default 8080; with --once any free port)
  --help        this text`;

const REPOSITORY = 'acme/shop';
const REQUESTS_PER_SECOND = 200;
/** A second on a quiet machine. Nothing is shown by it: what a step took is told. */
const STEP_TIMEOUT_MS = 60_000;
/** Load before the push and after the new commit is shown, so that the switch lies well inside. */
const LOAD_MARGIN_MS = 1_000;
const LOG_LINES_TOLD = 20;

type Pull = Awaited<ReturnType<Awaited<ReturnType<FakeGitHub['addRepository']>>['openPullRequest']>>;

/** What a demonstration runs on. */
interface Stage {
  readonly github: FakeGitHub;
  readonly operator: OperatorProcess;
  readonly databaseUrl: string;
  /** Fires when somebody wants it to end; everything that waits throws then. */
  readonly stopping: AbortSignal;
}

interface Demo extends Stage {
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
async function until(what: string, stopping: AbortSignal, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + STEP_TIMEOUT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline)
      throw new DemoFailure(`${what} did not come about within ${STEP_TIMEOUT_MS / 1_000} s`);
    await delay(10, undefined, { signal: stopping });
  }
}

function showsCommit(demo: Demo, sha: string): Promise<void> {
  const isShown = async () => (await get(demo.target).catch(() => null)) === sha;
  return until(`commit ${sha.slice(0, 8)} at its URL`, demo.stopping, isShown);
}

async function openFirst(stage: Stage): Promise<Demo> {
  const repository = await stage.github.addRepository(REPOSITORY, APP_FILES);
  await repository.commit('greeting', { 'message.txt': 'Hello from the first commit' });
  const pull = await step('pull request opened; its signed delivery was answered 202', () =>
    repository.openPullRequest({ head: 'greeting', title: 'A friendlier greeting' }),
  );
  const port = stage.operator.gatewayPort;
  const demo = { ...stage, pull, target: { port, host: `shop-${pull.number}.localhost:${port}`, path: '/commit' } };
  await step(
    'the preview answers at its own URL, on that commit',
    () => showsCommit(demo, pull.head),
    () => urlOf(demo),
  );
  return demo;
}

function urlOf(demo: Demo): string {
  return `http://${demo.target.host}/`;
}

async function pushUnderLoad(demo: Demo): Promise<void> {
  const before = demo.pull.head;
  const pause = () => delay(LOAD_MARGIN_MS, undefined, { signal: demo.stopping });
  const result = await underSteadyLoad(demo.target, REQUESTS_PER_SECOND, async () => {
    await pause();
    await demo.pull.push({ 'message.txt': `Hello again, at ${new Date().toLocaleTimeString()}` });
    await step('pushed a commit; the URL shows it', () => showsCommit(demo, demo.pull.head));
    await pause();
  });
  const commits = [before, demo.pull.head];
  const [old = 0, fresh = 0] = commits.map((sha) => result.bodies.get(sha) ?? 0);
  const summary = `${result.failed} failed of ${result.requests} requests (${REQUESTS_PER_SECOND} a second): ${old} saw the old commit, ${fresh} the new one`;
  const objection = objectionTo(result, commits);
  if (objection !== null) throw new DemoFailure(`${summary}\n${objection}`);
  console.log(`${pico.green('✓')}           ${summary}`);
}

async function commentSays(demo: Demo, ...texts: string[]): Promise<void> {
  await step(
    'the pull request was told',
    () =>
      until(`a comment with "${texts.join('" and "')}"`, demo.stopping, async () =>
        demo.pull.comments.some((comment) => texts.every((text) => comment.body.includes(text))),
      ),
    () => {
      const lines =
        demo.pull.comments[0]?.body.split('\n').filter((line) => line !== '' && !line.startsWith('<!--')) ?? [];
      return `"${lines[0] ?? ''}"`;
    },
  );
}

async function closeAndCount(demo: Demo): Promise<void> {
  await demo.pull.close();
  let left: Inventory = {};
  const isGone = async () => {
    left = await takeInventory(demo.operator.stateDirectory, demo.databaseUrl);
    return Object.values(left).every((count) => count === 0);
  };
  try {
    await step('pull request closed; nothing is left', () => until('an empty inventory', demo.stopping, isGone));
  } finally {
    for (const [name, count] of Object.entries(left))
      console.log(`           ${count === 0 ? pico.green('0') : pico.red(String(count))} ${name}`);
  }
}

async function reopen(demo: Demo): Promise<void> {
  await demo.pull.reopen();
  await step('reopened; the preview answers', () => showsCommit(demo, demo.pull.head));
}

/** Until it is stopped; does what keys ask for. */
async function stayUp(demo: Demo, stop: (why: string) => void): Promise<void> {
  console.log(`\nOpen ${pico.bold(urlOf(demo))} in a browser. The operator’s log is ${demo.operator.logFile}.`);
  console.log(`npm run -s preview -- --socket ${join(demo.operator.stateDirectory, 'run/operator.sock')} list`);
  if (!process.stdin.isTTY) {
    console.log('Stop with Ctrl-C.');
    await delay(LONGER_THAN_ANYBODY_LOOKS_MS, undefined, { signal: demo.stopping });
    return;
  }
  console.log('p pushes a commit, c closes the pull request, o opens it again, q ends the demonstration.');
  const isOpen = () => demo.pull.state.state === 'open';
  const whileClosed = () => (isOpen() ? null : 'the pull request is closed; o opens it again');
  const deeds = {
    p: { what: 'a commit is being pushed', objection: whileClosed, act: () => pushUnderLoad(demo) },
    c: { what: 'the pull request is being closed', objection: whileClosed, act: () => closeAndCount(demo) },
    o: {
      what: 'the pull request is being opened',
      objection: () => (isOpen() ? 'the pull request is open' : null),
      act: () => reopen(demo),
    },
  };
  await actOnKeys(deeds, demo.stopping, stop);
}

/** The longest that a timer of Node can be set to: 24 days. */
const LONGER_THAN_ANYBODY_LOOKS_MS = 2 ** 31 - 1;

/** Addresses that an operator of this machine, or another demonstration, hardly has. */
function ownPool(): string {
  return `127.${101 + (process.pid % 128)}.0.0/21`;
}

/** Fires when somebody stops us or closes our terminal. `stop` does the same for a key. */
function stopSwitch(): { readonly stopping: AbortSignal; readonly stop: (why: string) => void } {
  const controller = new AbortController();
  const stop = (why: string) => {
    if (controller.signal.aborted) return;
    console.log(pico.dim(`${why}: everything is stopped and removed.`));
    controller.abort(new DemoFailure(`stopped by ${why}`));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  return { stopping: controller.signal, stop };
}

/** A folder that is gone in the end, with all that runs in it: previews outlive their operator, and it may not have come to end its PostgreSQL. */
async function ownDirectory(stack: AsyncDisposableStack): Promise<string> {
  const directory = stack.adopt(await mkdtemp(join(tmpdir(), 'berth-demo-')), async (path) => {
    await endProcessesBelow(path);
    await rm(path, { recursive: true, force: true, maxRetries: 5 });
  });
  // As root, PostgreSQL and the apps run as other users, who have to pass through.
  await chmod(directory, 0o711);
  return directory;
}

async function setStage(stack: AsyncDisposableStack, stopping: AbortSignal, gatewayPort: number): Promise<Stage> {
  const directory = await ownDirectory(stack);
  const webhookSecret = randomBytes(32).toString('hex');
  const github = stack.use(await startFakeGitHub());
  const settings = {
    directory,
    repositories: [REPOSITORY],
    apiUrl: github.apiUrl,
    cloneBase: github.cloneBase,
    token: github.token,
    webhookSecret,
    gatewayPort,
    pool: ownPool(),
    signal: stopping,
  };
  const operator = stack.adopt(
    await step('the operator is ready (its own PostgreSQL included)', () => startOperatorProcess(settings)),
    (each) => each.stop(),
  );
  github.deliverTo({ url: `${operator.webhookUrl}/webhook/github`, secret: webhookSecret });
  const databaseUrl = await storedUrl(join(operator.stateDirectory, 'postgres'));
  return { github, operator, databaseUrl, stopping };
}

/** Rejects when a step fails, and with `once` when it was stopped. In each case nothing of it is left. */
async function tell(once: boolean, port: number): Promise<void> {
  const { stopping, stop } = stopSwitch();
  await using stack = new AsyncDisposableStack();
  let stage: Stage | null = null;
  try {
    stage = await setStage(stack, stopping, port);
    const demo = await openFirst(stage);
    await commentSays(demo, 'is live');
    if (!once) return await stayUp(demo, stop);
    await pushUnderLoad(demo);
    await commentSays(demo, 'is live', demo.pull.head);
    await closeAndCount(demo);
    await commentSays(demo, 'removed');
  } catch (error) {
    // Whatever failed then failed because of it.
    if (stopping.aborted && !once) return;
    stopping.throwIfAborted();
    if (stage !== null) await printLastWords(stage.operator);
    throw error;
  }
}

async function printLastWords(operator: OperatorProcess): Promise<void> {
  const lines = (await readFile(operator.logFile, 'utf8')).trimEnd().split('\n').slice(-LOG_LINES_TOLD);
  console.error(pico.dim(`The operator’s last words:\n${lines.join('\n')}\n`));
}

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

// A terminal that was read from keeps a process alive.
process.exit(await main());
