/** The real service as a process of its own, with a configuration for a stand-in GitHub. For tests, the demonstration and benchmarks. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { closeSync, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.ts';

export interface OperatorProcess {
  /** Of the one that runs now, or ran last. */
  readonly pid: number;
  readonly webhookUrl: string;
  readonly gatewayPort: number;
  readonly stateDirectory: string;
  readonly configFile: string;
  readonly logFile: string;
  /** SIGTERM, and its end. Nothing happens when it has ended already. */
  stop(): Promise<void>;
  /** SIGKILL, and its end: it has no time for anything. */
  kill(): Promise<void>;
  /** Starts it again after `stop` or `kill`, on the same ports and state, perhaps with another allow-list. */
  start(changes?: Changes): Promise<void>;
  /** The same, but two at once. Resolves when one is ready and the other has ended, with what that one said. */
  startTwo(changes?: Changes): Promise<LastWords>;
  /** One more beside the one that runs; resolves when it has ended. */
  startBeside(): Promise<LastWords>;
}

export interface LastWords {
  readonly status: number | null;
  readonly text: string;
}

type Changes = Pick<OperatorSettings, 'repositories'>;

export interface OperatorSettings {
  /** One part of it; all of it in one process when absent. */
  readonly only?: 'web' | 'reconciler';
  /** For configuration, log and state. */
  readonly directory: string;
  /** The allow-list. */
  readonly repositories: readonly string[];
  readonly apiUrl: string;
  readonly cloneBase: string;
  readonly token: string;
  readonly webhookSecret: string;
  /** Where previews are served; 0 for any free port. */
  readonly gatewayPort: number;
  /** Addresses of the apps, where another operator on this machine may have the usual ones. */
  readonly pool?: string;
  /** A PostgreSQL to use instead of the embedded one. */
  readonly databaseUrl?: string;
  /** Whether drafts get previews; they do when absent. */
  readonly drafts?: boolean;
  readonly limits?: Readonly<Record<string, number>>;
  /** Where it is not a folder of `directory`. */
  readonly stateDirectory?: string;
  /** More of its configuration, by section. */
  readonly sections?: Readonly<Record<string, TomlSection>>;
  /** What makes another user of a process before it becomes node (`setpriv …`). */
  readonly become?: readonly string[];
  /** Fires when nobody wants it any more: what is starting is stopped. */
  readonly signal?: AbortSignal;
}

type TomlSection = Readonly<Record<string, string | number | boolean | readonly string[]>>;

interface Ports {
  readonly server: number;
  readonly gateway: number;
}

const ROOT = join(import.meta.dirname, '..', '..');
/** A second on a quiet machine; a minute was too short on one that had twenty other things to do. */
const START_TIMEOUT_MS = 180_000;
const STOP_TIMEOUT_MS = 30_000;

/** Starts it and waits until it is ready. Throws with the last lines of its log when it is not, and the signal's reason; then it does not run. */
export async function startOperatorProcess(settings: OperatorSettings): Promise<OperatorProcess> {
  const { directory } = settings;
  const gateway = settings.gatewayPort === 0 ? await freePort() : settings.gatewayPort;
  const ports = { server: await freePort(), gateway };
  const configFile = join(directory, 'berth.toml');
  const logFile = join(directory, 'operator.log');
  const webhookUrl = `http://127.0.0.1:${ports.server}`;

  const secondLogFile = join(directory, 'second.log');
  const spawnInto = (file: string) => spawnService(settings, configFile, file);

  /** The first that comes up of these. */
  const ready = async (children: ChildProcess[]): Promise<ChildProcess> => {
    try {
      const isUp = () => (settings.only === 'reconciler' ? answersOnItsSocket(directory) : isReady(webhookUrl));
      return await firstReady(children, isUp, settings.signal);
    } catch (error) {
      await Promise.all(children.map(giveUpOn));
      settings.signal?.throwIfAborted();
      const lines = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-15);
      throw new Error(`The operator did not start:\n${lines.join('\n')}`, { cause: error });
    }
  };
  const configure = (changes?: Changes) => writeFile(configFile, configText({ ...settings, ...changes }, ports));
  await configure();
  let child = await ready([spawnInto(logFile)]);

  const end = (signal: NodeJS.Signals) => endOf(child, signal);
  return {
    get pid() {
      return child.pid ?? 0;
    },
    webhookUrl,
    gatewayPort: ports.gateway,
    stateDirectory: settings.stateDirectory ?? join(directory, 'state'),
    configFile,
    logFile,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    async start(changes) {
      await configure(changes);
      child = await ready([spawnInto(logFile)]);
    },
    async startTwo(changes) {
      await configure(changes);
      await rm(secondLogFile, { force: true });
      const [first, second] = [spawnInto(logFile), spawnInto(secondLogFile)];
      child = await ready([first, second]);
      return child === first ? lastWordsOf(second, secondLogFile) : lastWordsOf(first, logFile);
    },
    async startBeside() {
      await rm(secondLogFile, { force: true });
      return lastWordsOf(spawnInto(secondLogFile), secondLogFile);
    },
  };
}

async function lastWordsOf(child: ChildProcess, file: string): Promise<LastWords> {
  if (!hasEnded(child)) await once(child, 'exit', { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
  return { status: child.exitCode, text: (await readFile(file, 'utf8')).slice(-2_000) };
}

async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

/** It may have started its PostgreSQL, which it takes along when it is asked to stop. */
async function giveUpOn(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit', { signal: AbortSignal.timeout(STOP_TIMEOUT_MS) });
  child.kill('SIGTERM');
  await ended.catch(() => child.kill('SIGKILL'));
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

function configText(settings: OperatorSettings, ports: Ports): string {
  const sections: Record<string, TomlSection> = {
    github: {
      repositories: settings.repositories,
      api_url: settings.apiUrl,
      clone_url: settings.cloneBase,
      drafts: settings.drafts ?? true,
    },
    server: { port: ports.server },
    gateway: { port: ports.gateway },
    state: { directory: settings.stateDirectory ?? 'state' },
    runtime: settings.pool === undefined ? {} : { pool: settings.pool },
    limits: settings.limits ?? {},
  };
  return tomlText({ ...sections, ...settings.sections });
}

function spawnService(settings: OperatorSettings, configFile: string, logFile: string): ChildProcess {
  const log = openSync(logFile, 'a');
  try {
    const only = settings.only === undefined ? [] : ['--only', settings.only];
    const service = [process.execPath, 'webhook/main.ts', '--config', configFile, ...only];
    const [program = '', ...words] = settings.become === undefined ? service : [...settings.become, ...service];
    return spawn(program, words, {
      cwd: ROOT,
      stdio: ['ignore', log, log],
      env: {
        ...ownEnvironment(),
        BERTH_GITHUB_WEBHOOK_SECRET: settings.webhookSecret,
        ...(settings.only === 'web' ? {} : { BERTH_GITHUB_TOKEN: settings.token }),
        ...(settings.databaseUrl === undefined ? {} : { DATABASE_URL: settings.databaseUrl }),
      },
    });
  } finally {
    closeSync(log);
  }
}

/** Ours, without what would make the service use a database or settings that are not this one's. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('BERTH_')),
  );
}

async function isReady(webhookUrl: string): Promise<boolean> {
  const answer = await fetch(`${webhookUrl}/ready`).catch(() => null);
  return answer?.ok === true;
}

async function answersOnItsSocket(directory: string): Promise<boolean> {
  const answer = await textFromSocket(metricsSocketOf(join(directory, 'state')), '/metrics').catch(() => '');
  return answer !== '';
}

/** Where a reconciler that is a process of its own says its metrics. */
export function metricsSocketOf(stateDirectory: string): string {
  return join(stateDirectory, 'run', 'metrics.sock');
}

/** The body of a GET over a unix socket. Rejects when nobody listens. */
export function textFromSocket(socketPath: string, path: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const asking = request({ socketPath, path, agent: false }, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    response.on('end', () => resolve(body)).on('error', reject);
  });
  asking.on('error', reject).end();
  return promise;
}

/** The one that is there once the service is ready. Where there are several, all but one end by themselves. */
async function firstReady(
  children: readonly ChildProcess[],
  isUp: () => Promise<boolean>,
  signal: AbortSignal | undefined,
): Promise<ChildProcess> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    signal?.throwIfAborted();
    const alive = children.filter((child) => !hasEnded(child));
    const [only] = alive;
    if (only === undefined)
      throw new Error(`ended with ${children.map((each) => each.signalCode ?? each.exitCode).join(', ')}`);
    if ((await isUp()) && alive.length === 1) return only;
    await delay(20);
  }
  throw new Error(`it was not ready within ${START_TIMEOUT_MS / 1_000} s`);
}

function tomlText(sections: Readonly<Record<string, TomlSection>>): string {
  // JSON strings, numbers and lists of strings are TOML too.
  return Object.entries(sections)
    .map(
      ([name, keys]) =>
        `[${name}]\n${Object.entries(keys)
          .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
          .join('')}`,
    )
    .join('\n');
}
