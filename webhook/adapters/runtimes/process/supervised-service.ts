/** One service of an instance: started, logged, started again when it ends. Runs in the supervisor's process. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { RESTART_FIRST_MS, RESTART_MAX_MS } from '../../../core/limits.ts';
import { launched } from './launch.ts';
import { LogFile } from './log-files.ts';
import { endTree, killTree } from './process-tree.ts';
import { processOf, type ProcessIdentity } from './process-table.ts';
import type { StatusFile, SupervisedService } from './supervision-files.ts';

/** From the end of a service until its output has been read; the pipe holds 64 KiB. */
const LAST_WORDS_MS = 1_000;

export class ServiceKeeper {
  readonly #service: SupervisedService;
  readonly #log: LogFile;
  readonly #onChange: () => void;
  #process: ProcessIdentity | null = null;
  #restarts = 0;
  #pauseMs = RESTART_FIRST_MS;
  #timer: NodeJS.Timeout | null = null;
  #stopping = false;
  /** Resolves when the present process and its output have ended. */
  #said: Promise<unknown> = Promise.resolve();

  constructor(service: SupervisedService, logs: string, onChange: () => void) {
    this.#service = service;
    this.#log = new LogFile(logs, service.name);
    this.#onChange = onChange;
  }

  get status(): StatusFile['services'][number] {
    const state = this.#process !== null ? 'running' : this.#stopping ? 'stopped' : 'restarting';
    return { name: this.#service.name, state, restarts: this.#restarts, process: this.#process };
  }

  /** Resolves when it runs, rejects when the program cannot be started at all. Called once. */
  start(): Promise<void> {
    const child = this.#spawn();
    return new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
  }

  /** SIGTERM to everything of the app, and after the grace SIGKILL. Resolves when nothing of it runs. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#process !== null) await endTree(this.#process, this.#service.launch.isSandbox, graceMs);
    await this.#lastWords();
    this.#log.close();
  }

  /** Ends the app at once; it is started again as after any other end. */
  kill(why: string): void {
    this.#log.note(why);
    if (this.#process !== null) killTree(this.#process);
  }

  get process(): ProcessIdentity | null {
    return this.#process;
  }

  #spawn(): ChildProcess {
    const startedAt = Date.now();
    const child = launched(this.#service.launch);
    this.#process = child.pid === undefined ? null : processOf(child.pid);
    this.#log.follow(child.stdout);
    this.#log.follow(child.stderr);
    this.#said = new Promise((resolve) => child.once('close', resolve));
    child.once('error', (error) => void this.#onEnd(`could not be started: ${error.message}`, startedAt));
    child.once('exit', (status, signal) => {
      const how = signal === null ? `ended with status ${status}` : `was ended by ${signal}`;
      void this.#onEnd(how, startedAt);
    });
    return child;
  }

  async #onEnd(how: string, startedAt: number): Promise<void> {
    const before = this.#process;
    this.#process = null;
    if (this.#stopping) return;
    this.#onChange();
    // Whatever it left behind in its group goes before it is started again, or its port would still be taken.
    if (before !== null) killTree(before);
    await this.#lastWords();
    if (this.#stopping) return;
    if (Date.now() - startedAt >= RESTART_MAX_MS) this.#pauseMs = RESTART_FIRST_MS;
    this.#log.flush();
    this.#log.note(`${how}; it is started again in ${this.#pauseMs} ms`);
    this.#timer = setTimeout(() => this.#restart(), this.#pauseMs);
    this.#pauseMs = Math.min(RESTART_MAX_MS, this.#pauseMs * 2);
  }

  /** What it said last is still in the pipes; a process outside of its tree may hold them open for ever. */
  async #lastWords(): Promise<void> {
    await Promise.race([this.#said, sleep(LAST_WORDS_MS, undefined, { ref: false })]);
  }

  #restart(): void {
    if (this.#stopping) return;
    this.#restarts += 1;
    this.#spawn();
    this.#onChange();
  }
}
