import { type Options as ExecaOptions, execa } from 'execa';
import { exitStatus, HostctlFailure } from './failure.ts';
import type { Output } from './output.ts';

export interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A rebuild may compile for long, but a hung one must not hold the host's lock for ever. */
const changeTimeoutMs = 4 * 3600 * 1000;
/** Questions to a healthy host answer in milliseconds; thirty seconds is a host in trouble. */
const askTimeoutMs = 30 * 1000;

/**
 * Runs programs for the verbs: argument lists only, never a shell. `change` is for what alters the host and is
 * only printed under `--dry-run`; `ask` only looks, and always runs.
 */
export class CommandRunner {
  readonly #output: Output;
  readonly #dryRun: boolean;

  constructor(output: Output, dryRun: boolean) {
    this.#output = output;
    this.#dryRun = dryRun;
  }

  get dryRun(): boolean {
    return this.#dryRun;
  }

  /** Runs a changing command with its output on the terminal; returns its exit status (0 under --dry-run). */
  async change(argv: readonly [string, ...string[]], cwd?: string): Promise<number> {
    this.#output.command(argv);
    if (this.#dryRun) return 0;
    // Everything the child says goes to stderr, so that stdout stays one JSON document with --json.
    const finished = await this.#execute(argv, { stdout: 2, stderr: 2, timeout: changeTimeoutMs, ...(cwd && { cwd }) });
    return finished.status;
  }

  /** Runs a changing command that must succeed. @throws HostctlFailure `failed` with `hint` otherwise. */
  async mustChange(argv: readonly [string, ...string[]], hint: string): Promise<void> {
    const status = await this.change(argv);
    if (status !== 0) throw new HostctlFailure(exitStatus.failed, `${argv[0]} ended with status ${status}`, hint);
  }

  /** Runs a command that only looks and returns what it said, whatever its exit status. */
  ask(argv: readonly [string, ...string[]]): Promise<Finished> {
    return this.#execute(argv, { stdout: 'pipe', stderr: 'pipe', timeout: askTimeoutMs });
  }

  async #execute(argv: readonly [string, ...string[]], options: ExecaOptions): Promise<Finished> {
    const [program, ...args] = argv;
    const result = await execa(program, args, {
      ...options,
      stdin: 'ignore',
      reject: false,
      maxBuffer: 16 * 1024 * 1024,
    });
    if (result.code === 'ENOENT') {
      throw new HostctlFailure(
        exitStatus.failed,
        `${program} is not on PATH`,
        'Is this a NixOS host built from server-config?',
      );
    }
    if (result.timedOut) {
      throw new HostctlFailure(
        exitStatus.failed,
        `${program} was still running after ${options.timeout} ms and was stopped`,
        'Look at the host’s load and its journal, then run the command again.',
      );
    }
    return { status: result.exitCode ?? 128, stdout: String(result.stdout ?? ''), stderr: String(result.stderr ?? '') };
  }
}
