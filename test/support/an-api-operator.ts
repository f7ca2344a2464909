import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { operatorApi } from '../../webhook/commands/operator-api.ts';
import type { DiskRoom } from '../../webhook/core/host-verbs.ts';
import type { InstanceName } from '../../webhook/core/names.ts';
import type { RouteDefect } from '../../webhook/core/preview-route.ts';
import type { PreviewDetailView } from '../../webhook/core/preview-view.ts';
import { keyText, type PreviewKey, type Sha } from '../../webhook/core/pull-request.ts';
import { buildApiServer, listenOnSocket } from '../../webhook/http/api-server.ts';
import type { LogLine, Operator } from '../../webhook/ports.ts';
import { SimulatedProcess } from '../simulation/faults.ts';
import type { AppKind } from '../simulation/simulated-github.ts';
import { simulatedOperator } from '../simulation/simulated-operator.ts';
import { World } from '../simulation/world.ts';

const main = resolve(import.meta.dirname, '../../webhook/commands/preview/main.mjs');

export interface PreviewResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Simulated time passes this much faster: a setup of four seconds takes a fifth of one. */
const SPEED = 20;
const TICK_MS = 5;

/**
 * The real API server on a real socket, over the simulated world: its GitHub and host are in memory, its reconciler and jobs are the real ones.
 * `preview` runs the real command against it.
 */
export class AnApiOperator implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'berth-api-'));
  readonly socket = join(this.folder, 'run', 'operator.sock');
  readonly world = new World({ seed: 1, faults: [], sweeps: false });
  readonly op: Operator;
  readonly api = operatorApi(this.socket);
  /** What instances have printed. */
  readonly printed = new Map<InstanceName, LogLine[]>();
  /** Null as where instances have no disks of their own. */
  diskRoom: DiskRoom | null = null;
  /** What is wrong with the files of the routes. */
  routeDefects: RouteDefect[] = [];
  server: FastifyInstance;
  #isOver = false;
  readonly #time: Promise<void>;

  private constructor() {
    this.world.startOperator();
    const process = new SimulatedProcess(0, () => undefined);
    const ports = simulatedOperator(this.world, process, this.world.policy());
    this.op = {
      ...ports,
      pullRequests: {
        ...ports.pullRequests,
        find: (repository, branch) => Promise.resolve(this.#find(repository, branch ?? 'main')),
      },
      routes: { ...ports.routes, defects: () => Promise.resolve(this.routeDefects) },
      runtime: {
        ...ports.runtime,
        diskRoom: () => Promise.resolve(this.diskRoom),
        logs: (name, options) => this.#logs(name, options),
      },
    };
    this.server = buildApiServer(this.op);
    this.#time = this.#letTimePass();
  }

  static async start(): Promise<AnApiOperator> {
    const operator = new AnApiOperator();
    await listenOnSocket(operator.server, operator.socket);
    return operator;
  }

  /** An open pull request of other/shop, not announced to us. Or a push, when there is one of that number. */
  pull(number: number, sha: string, app: AppKind = 'good'): void {
    const repository = this.world.github.byName('other/shop');
    const existing = repository?.pulls.get(number);
    this.world.github.apps.set(sha, app);
    if (existing !== undefined) existing.sha = sha as Sha;
    else {
      repository?.pulls.set(number, {
        number,
        state: 'open',
        sha: sha as Sha,
        ref: `branch-${number}`,
        base: 'main',
        headRepositoryId: repository.id,
        author: 'member',
        draft: false,
        wasAbsent: true,
        comments: [],
        statuses: new Map(),
        lastStatus: null,
      });
    }
  }

  /** How often anything was asked of any preview. */
  get requests(): number {
    return [...this.world.state.previews.values()].reduce((sum, row) => sum + row.generation, 0);
  }

  /** What `preview status` shows. */
  async detailOf(slug: string): Promise<PreviewDetailView> {
    return (await this.api.ask<{ preview: PreviewDetailView }>('GET', `/previews/${slug}`)).preview;
  }

  /** Runs the command to its end. */
  preview(...args: string[]): Promise<PreviewResult> {
    return ended(this.spawn(args));
  }

  /** The same on a terminal of 100 columns; both of its outputs are in `stdout`. The arguments must be plain words. */
  onTerminal(...args: string[]): Promise<PreviewResult> {
    return this.#onTerminal(args.join(' '));
  }

  /** The same with its standard output in a file: what it wrote there, and what the terminal showed. */
  async onTerminalInto(file: string, ...args: string[]): Promise<PreviewResult & { readonly shown: string }> {
    const path = join(this.folder, file);
    const { status, stdout: shown, stderr } = await this.#onTerminal(`${args.join(' ')} > ${path}`);
    return { status, stdout: readFileSync(path, 'utf8'), stderr, shown };
  }

  #onTerminal(words: string): Promise<PreviewResult> {
    const line = `stty cols 100; exec ${process.execPath} ${main} ${words}`;
    const env = { PATH: process.env['PATH'] ?? '', BERTH_SOCKET: this.socket, TERM: 'xterm-256color' };
    return ended(
      spawn('script', ['-qec', line, '/dev/null'], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 }),
    );
  }

  /** Runs a script of bash, without anybody's settings, in which `preview` is the command. */
  bash(script: string): Promise<PreviewResult> {
    const command = `preview() { '${process.execPath}' '${main}' "$@"; }`;
    const env = { PATH: process.env['PATH'] ?? '', BERTH_SOCKET: this.socket };
    const words = ['--noprofile', '--norc', '-c', `${command}\n${script}`];
    return ended(spawn('bash', words, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 }));
  }

  spawn(args: readonly string[]) {
    const env = { PATH: process.env['PATH'] ?? '', BERTH_SOCKET: this.socket };
    return spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    this.#isOver = true;
    await this.#time;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #letTimePass(): Promise<void> {
    while (!this.#isOver) {
      await this.world.clock.run(this.world.clock.elapsedMs + TICK_MS * SPEED);
      await delay(TICK_MS);
    }
  }

  #find(name: string, branch: string): PreviewKey | null {
    const repository = this.world.github.byName(name);
    const pull = [...(repository?.pulls.values() ?? [])].find((each) => each.ref === branch && each.state === 'open');
    if (repository === null || pull === undefined) return null;
    return { repositoryId: repository.id, subject: { kind: 'pull', number: pull.number } };
  }

  async *#logs(name: InstanceName, options: { follow: boolean; tailLines: number; signal: AbortSignal }) {
    let next = Math.max(0, (this.printed.get(name)?.length ?? 0) - options.tailLines);
    do {
      const lines = this.printed.get(name) ?? [];
      for (; next < lines.length; next += 1) yield lines[next] as LogLine;
      if (options.follow) await delay(TICK_MS);
    } while (options.follow && !options.signal.aborted);
  }

  /** The instance that answers for a pull request of other/shop. */
  answering(number: number): InstanceName {
    const id = this.world.github.byName('other/shop')?.id ?? 0;
    const row = this.world.state.previews.get(keyText({ repositoryId: id, subject: { kind: 'pull', number } }));
    if (row?.answering == null) throw new Error(`#${number} does not answer`);
    return row.answering;
  }
}

async function ended(child: ChildProcessByStdio<null, Readable, Readable>): Promise<PreviewResult> {
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const status = await new Promise<number | null>((done) => {
    child.once('close', (code) => done(code));
  });
  return { status, stdout, stderr };
}
