/**
 * A real PostgreSQL without installing one: for `npm run demo`, for laptops, and for the tests. The cluster lies in the state
 * directory, listens on 127.0.0.1 alone, and is stopped with us. One that outlived a kill of ours is taken over as it runs, so that
 * the previews' connections live on.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chown, mkdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import { PROCESS_FIRST_PORT } from '../../core/limits.ts';
import type { Log } from '../../ports.ts';
import { findBinaries, findRunAs, type Binaries, type RunAs } from './binaries.ts';
import {
  claimDirectory,
  clusterPaths,
  clusterVersion,
  ensurePassword,
  PG_HBA,
  removeStalePidFile,
  runningServer,
  serverSettings,
  STATE_DATABASE,
  storedPort,
  SUPERUSER,
  type ClusterPaths,
} from './cluster-files.ts';
import { keepRunning, type WatchedServer } from './keep-running.ts';

const execFileAsync = promisify(execFile);

/** Starting takes 35–80 ms, replaying a crashed cluster's log a few seconds; beyond this something is wrong. */
const START_TIMEOUT_MS = 30_000;
/** A busy machine is given time: a server that is restarted breaks every connection of the previews. */
const ADOPT_TIMEOUT_MS = 5_000;
const STOP_TIMEOUT_S = 30;
const START_POLL_MS = 10;
const ADOPT_POLL_MS = 100;
const TAIL_LINES = 20;
/** Somebody may have the port that we choose: the server says so, and gets another. */
const PORT_TRIES = 5;
/**
 * Below the ports of the apps, and so of outgoing connections. The apps know the port for as long as their previews live, and a connection that took it
 * while the server is down would hold it.
 */
const PORT_MIN = 5_500;
const PORT_MAX = PROCESS_FIRST_PORT - 1;

export interface EmbeddedPostgres {
  /** Of the operator's own database, as superuser. */
  readonly url: string;
  /** Where the previews' apps reach it. */
  readonly appHost: string;
  readonly appPort: number;
  /** From now until `stop`, starts it again when it ends by itself, on the same port. */
  watch(): void;
  /** Ends open transactions and stops the server. May be called again. */
  stop(): Promise<void>;
}

interface Server {
  readonly paths: ClusterPaths;
  readonly binaries: Binaries;
  readonly runAs: RunAs | null;
  readonly password: string;
  readonly durable: boolean;
  readonly log: Log;
}

export interface EmbeddedPostgresOptions {
  /** The cluster's own folder; made when it is not there. */
  readonly directory: string;
  readonly log: Log;
  /** False only where nothing has to survive a power cut: in tests. Many times faster on a busy disk. */
  readonly durable?: boolean;
}

/** Runs when it resolves. Throws EMBEDDED_POSTGRES_FAILED with the server's last lines, and then nothing of it runs. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const paths = clusterPaths(options.directory);
  const binaries = await findBinaries();
  const runAs = await findRunAs([binaries.postgres, paths.data]);
  await claimDirectory(paths);
  const password = await ensurePassword(paths.password);
  const server: Server = { paths, binaries, runAs, password, durable: options.durable ?? true, log: options.log };

  const version = await clusterVersion(paths);
  if (version === null) await initialise(server);
  else await refuseOtherVersion(server, version);

  const port = (await adopt(server)) ?? (await startOnAPort(server));
  const url = urlOf(server, port);
  try {
    await ensureStateDatabase(server, port);
  } catch (error) {
    await stop(server);
    throw failed('The embedded PostgreSQL has no database for our state.', String(error), error);
  }
  const stopping = new AbortController();
  let watching: Promise<void> = Promise.resolve();
  return {
    url,
    appHost: '127.0.0.1',
    appPort: port,
    watch() {
      watching = keepRunning(watched(server, port), stopping.signal);
    },
    async stop() {
      stopping.abort();
      await watching;
      await stop(server);
    },
  };
}

/**
 * Where the cluster in this folder was last reached: for who looks into another's database. Starts and stops nothing, so a server that is slow to answer is
 * left alone. Throws EMBEDDED_POSTGRES_FAILED, or that there is no file, where none was ever started.
 */
export async function storedUrl(directory: string): Promise<string> {
  const paths = clusterPaths(directory);
  const port = await storedPort(paths.port);
  const password = (await readFile(paths.password, 'utf8')).trim();
  if (port === null)
    throw failed('The embedded PostgreSQL has never been started.', `${paths.port} has no port.`, undefined);
  return urlOf({ password }, port);
}

function watched(server: Server, port: number): WatchedServer {
  return {
    log: server.log,
    isRunning: async () => (await runningServer(server.paths)) !== null,
    async start() {
      await removeStalePidFile(server.paths);
      const outcome = await start(server, port);
      if (!outcome.ok) throw failed('The embedded PostgreSQL did not start.', outcome.output, undefined);
    },
  };
}

function urlOf(server: Pick<Server, 'password'>, port: number, database = STATE_DATABASE): string {
  return `postgres://${SUPERUSER}:${server.password}@127.0.0.1:${port}/${database}`;
}

/** initdb works in a folder of its own, so that a cluster is whole or not there. */
async function initialise({ paths, binaries, runAs, password, durable, log }: Server): Promise<void> {
  await rm(paths.unfinished, { recursive: true, force: true });
  await mkdir(paths.unfinished, { mode: 0o700 });
  const passwordFile = join(paths.unfinished, 'password');
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  const data = join(paths.unfinished, 'data');
  if (runAs !== null) {
    await chown(paths.unfinished, runAs.uid, runAs.gid);
    await chown(passwordFile, runAs.uid, runAs.gid);
  }
  const began = Date.now();
  try {
    // The builtin locale provider (PostgreSQL 17) needs no locales of the system: the same order of text on every machine.
    await execFileAsync(
      binaries.initdb,
      [
        `--pgdata=${data}`,
        `--username=${SUPERUSER}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--locale=C',
        ...(durable ? [] : ['--no-sync']),
      ],
      { ...runAs, env: serverEnvironment() },
    );
  } catch (error) {
    const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
    await rm(paths.unfinished, { recursive: true, force: true });
    throw failed('The embedded PostgreSQL could not make its cluster.', `${stdout}\n${stderr}`, error);
  }
  await rename(data, paths.data);
  await rm(paths.unfinished, { recursive: true, force: true });
  log.info({ ms: Date.now() - began, directory: paths.data }, 'made a cluster for the embedded PostgreSQL');
}

async function refuseOtherVersion({ binaries, paths }: Server, version: string): Promise<void> {
  const { stdout } = await execFileAsync(binaries.postgres, ['--version']);
  const ours = /(\d+)/.exec(stdout)?.[1];
  if (ours === version) return;
  throw new OperatorError(
    'EMBEDDED_POSTGRES_FAILED',
    `${paths.data} was made by PostgreSQL ${version}, and this version of Berth brings PostgreSQL ${ours}.`,
    { hint: 'Run the version of Berth that made it, or move the folder away to begin with an empty database.' },
  );
}

/**
 * The port of a server that outlived us and still takes our password; anything else that runs on our data is stopped, one that is silent only when it has
 * had time to answer.
 */
async function adopt(server: Server): Promise<number | null> {
  const deadline = Date.now() + ADOPT_TIMEOUT_MS;
  for (;;) {
    const running = await runningServer(server.paths);
    if (running === null) {
      await removeStalePidFile(server.paths);
      return null;
    }
    const answer = await ask(server, running.port);
    if (answer === 'ours') {
      server.log.info(running, 'took over the embedded PostgreSQL that is already running');
      return running.port;
    }
    if (answer === 'foreign' || Date.now() >= deadline) {
      const what = answer === 'foreign' ? 'does not take our password' : 'does not answer';
      server.log.warn(running, `the embedded PostgreSQL that is running ${what}; it is restarted`);
      await stop(server);
      return null;
    }
    server.log.info(running, 'the embedded PostgreSQL that is running does not answer yet');
    await delay(ADOPT_POLL_MS);
  }
}

/** On the port of the last time, which the previews' apps know, or else on one that is free. */
async function startOnAPort(server: Server): Promise<number> {
  await writeFile(join(server.paths.data, 'pg_hba.conf'), PG_HBA);
  const stored = await storedPort(server.paths.port);
  for (let attempt = 1; ; attempt += 1) {
    const port = attempt === 1 && stored !== null ? stored : randomInt(PORT_MIN, PORT_MAX + 1);
    const outcome = await start(server, port);
    if (outcome.ok) {
      if (stored !== null && stored !== port)
        server.log.warn({ port, before: stored }, 'the port of the embedded PostgreSQL is taken; it has a new one');
      await writeFile(server.paths.port, `${port}\n`);
      return port;
    }
    const isPortTaken = /could not create any TCP\/IP sockets/.test(outcome.output);
    if (!isPortTaken || attempt === PORT_TRIES)
      throw failed('The embedded PostgreSQL did not start.', outcome.output, undefined);
  }
}

async function start(server: Server, port: number): Promise<{ ok: true } | { ok: false; output: string }> {
  // A process group of its own: Ctrl-C on a terminal must reach us and not take the database away from under us.
  const child = spawn(server.binaries.postgres, ['-D', server.paths.data, ...serverSettings(port, server.durable)], {
    ...server.runAs,
    cwd: '/',
    env: serverEnvironment(),
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const output = lastLines(child, server.log);
  const life: { ended: string | null } = { ended: null };
  child.on('error', (error) => (life.ended = String(error)));
  child.on('exit', (code, signal) => (life.ended = `ended with ${signal ?? `status ${code}`}`));
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (life.ended === null && Date.now() < deadline) {
    if ((await ask(server, port)) === 'ours') {
      child.unref();
      return { ok: true };
    }
    await delay(START_POLL_MS);
  }
  if (life.ended === null) {
    output.push(`It did not answer in ${START_TIMEOUT_MS / 1_000} s.`);
    child.kill('SIGQUIT');
    await once(child, 'exit');
  }
  return { ok: false, output: [...output, life.ended ?? ''].join('\n') };
}

/** SQLSTATE of PostgreSQL: a wrong password, or no such user. */
const REFUSALS = new Set(['28P01', '28000']);

/**
 * Who is on the port: the server on our data, which accepts our password; another one (a copy of a folder accepts it too); or nobody who has said anything
 * yet.
 */
async function ask(server: Server, port: number): Promise<'ours' | 'foreign' | 'silent'> {
  const client = new Client({ connectionString: urlOf(server, port, 'postgres'), connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ data_directory: string }>('show data_directory');
    const isOurs = (await realpath(rows[0]?.data_directory ?? '')) === (await realpath(server.paths.data));
    return isOurs ? 'ours' : 'foreign';
  } catch (error) {
    return REFUSALS.has((error as { code?: string }).code ?? '') ? 'foreign' : 'silent';
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The server's latest output, kept as it comes; also in our log, for who looks closely. */
function lastLines(child: ChildProcess, log: Log): string[] {
  const lines: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    for (const line of chunk.split('\n').filter((each) => each !== '')) {
      log.debug({ line }, 'embedded PostgreSQL');
      lines.push(line);
    }
    lines.splice(0, lines.length - TAIL_LINES);
  });
  // The pipe must not keep our process alive when everything else is done.
  (child.stderr as { unref?: () => void } | null)?.unref?.();
  return lines;
}

async function ensureStateDatabase(server: Server, port: number): Promise<void> {
  const client = new Client({ connectionString: urlOf(server, port, 'postgres') });
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [STATE_DATABASE]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(STATE_DATABASE)}`);
  } finally {
    await client.end();
  }
}

async function stop({ paths, binaries, runAs }: Server): Promise<void> {
  if ((await runningServer(paths)) === null) return;
  const stopIn = async (mode: 'fast' | 'immediate') =>
    execFileAsync(
      binaries.pg_ctl,
      ['stop', '--pgdata', paths.data, '--mode', mode, '--wait', '--timeout', String(STOP_TIMEOUT_S), '--silent'],
      { ...runAs, cwd: '/', env: serverEnvironment() },
    );
  try {
    await stopIn('fast');
  } catch {
    if ((await runningServer(paths)) === null) return;
    // The log is replayed at the next start; nothing committed is lost.
    await stopIn('immediate').catch((error: { stderr?: string }) => {
      throw failed('The embedded PostgreSQL did not stop.', error.stderr ?? '', error);
    });
  }
}

/** English messages whatever the user's language, and nothing of our own environment. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return { LC_ALL: 'C', TZ: 'UTC' };
}

function failed(message: string, output: string, cause: unknown): OperatorError {
  const tail = output.trim().split('\n').slice(-TAIL_LINES).join('\n');
  return new OperatorError('EMBEDDED_POSTGRES_FAILED', `${message}\n${tail}`, { detail: tail, cause });
}
