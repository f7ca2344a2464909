/** Builds of the guest folder (server-config/guest) with one file of the app's in it. */
import { randomUUID } from 'node:crypto';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorError } from '../../../core/errors.ts';
import { EVALUATION_MEMORY_MIB, EVALUATION_TIMEOUT_MS, FAILURE_TAIL_LINES } from '../../../core/limits.ts';
import { EVALUATION_FLAGS, heapMaxBytes, isOutOfMemory, PREVIEW_CONFIG_FILE } from '../../../core/preview-config.ts';
import type { Shell, ShellCommand, ShellResult } from '../../../ports.ts';
import { refusedDerivations } from './derivations.ts';

export interface ClosureSettings {
  /** A folder like server-config/guest. */
  readonly guest: string;
  /** One link per closure, which is its root against Nix's garbage collector. */
  readonly roots: string;
}

/** A first build of a large closure fetches gigabytes. */
const buildTimeoutMs = 60 * 60_000;

/** The evaluation came through its own limits once; this time thousands of derivations are written to the host's store as well. */
const instantiation = {
  timeoutMs: 5 * EVALUATION_TIMEOUT_MS,
  env: { GC_MAXIMUM_HEAP_SIZE: heapMaxBytes(EVALUATION_MEMORY_MIB) },
};

/** `nix show-derivation` of a whole NixOS system is some ten megabytes. */
const nixOutputMaxBytes = 64 * 1024 * 1024;

const system = process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux';

export interface Build extends ClosureSettings {
  readonly shell: Shell;
  /** Where the link to the closure is to be, which is also its root against the garbage collector. */
  readonly root: string;
  /** Text of manifest.json, or preview-config.nix. */
  readonly data: string;
  readonly signal: AbortSignal;
}

/** The system of a manifest's data, at its root. Throws BUILD_FAILED with the last lines. */
export async function buildFromData(build: Build): Promise<void> {
  await using copy = await guestWith(build, 'manifest.json');
  await runNix(build, ['nix', 'build', '--no-update-lock-file', '--out-link', build.root, `path:${copy.path}#system`]);
}

/**
 * The same flags as in hostd's evaluation, and the same text: a pure expression that came through it once says the same again. What it says is
 * compared, and nothing that would need the network is built: sources that are not in the binary cache are the setup's business, which runs inside. It
 * runs beside the operator, within the memory of the operator's unit, so its heap has the bound that it had there. Throws EVAL_MEMORY beside BUILD_FAILED
 * and CONFIG_REFUSED.
 */
export async function buildOwnSystem(build: Build, drv: string): Promise<void> {
  await using copy = await guestWith(build, PREVIEW_CONFIG_FILE);
  const again = await evaluated(build, copy.path);
  if (again !== drv)
    throw new OperatorError('CONFIG_REFUSED', 'preview-config.nix was refused (not-repeatable).', {
      detail: `${drv}, and then ${again.slice(0, 300)}`,
    });
  const dryRun = await runNix(build, ['nix-store', '--realise', '--dry-run', drv]);
  const toBuild = [...dryRun.stderr.matchAll(/^\s+(\/nix\/store\/\S+\.drv)$/gm)].map((match) => match[1] ?? '');
  if (toBuild.length > 0) {
    const shown = await runNix(build, ['nix', 'show-derivation', ...toBuild]);
    const problems = refusedDerivations(shown.stdout);
    if (problems.length > 0)
      throw new OperatorError('CONFIG_REFUSED', 'preview-config.nix was refused (builds-with-powers).', {
        detail: problems.slice(0, FAILURE_TAIL_LINES).join('\n'),
      });
  }
  await runNix(build, ['nix-store', '--realise', drv, '--add-root', build.root, '--indirect']);
}

/** A copy of the guest folder with one file of the app's in it, gone when disposed. */
async function guestWith(build: Build, file: string): Promise<{ path: string } & AsyncDisposable> {
  const { guest, roots, shell, data, signal } = build;
  await mkdir(roots, { recursive: true });
  const path = join(roots, `.build-${randomUUID()}`);
  const remove = () => rm(path, { recursive: true, force: true });
  try {
    await cp(guest, path, { recursive: true, dereference: true });
    // On NixOS the folder lies in the Nix store, where nothing may be written, and the copy has its modes.
    await shell.run({ argv: ['chmod', '-R', 'u+w', '--', path], timeoutMs: 60_000 }, signal);
    await writeFile(join(path, file), data);
  } catch (error) {
    await remove();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: remove };
}

/** What the host's Nix makes of the text: the path of the system's derivation. Throws EVAL_MEMORY, BUILD_FAILED. */
async function evaluated(build: Build, flake: string): Promise<string> {
  const argv = ['nix', 'eval', '--raw', ...EVALUATION_FLAGS, `path:${flake}#evaluation.${system}.drv`] as const;
  const { exitCode, stdout, stderr, timedOut } = await asClient(build, argv, instantiation);
  if (exitCode === 0) return stdout.trim();
  if (isOutOfMemory(stderr))
    throw new OperatorError('EVAL_MEMORY', 'The evaluation of preview-config.nix took more memory than it may.');
  throw buildFailed(stderr, timedOut);
}

/** Throws BUILD_FAILED with the last lines when the program fails. */
async function runNix(build: Build, argv: ShellCommand['argv']): Promise<ShellResult> {
  const result = await asClient(build, argv, { timeoutMs: buildTimeoutMs });
  if (result.exitCode !== 0) throw buildFailed(result.stderr, result.timedOut);
  return result;
}

/** Runs a program of Nix as an unprivileged client: the daemon builds, and holds the roots. */
function asClient(
  { shell, roots, signal }: Build,
  argv: ShellCommand['argv'],
  { timeoutMs, env }: Pick<ShellCommand, 'timeoutMs' | 'env'>,
): Promise<ShellResult> {
  const environment = { NIX_REMOTE: 'daemon', HOME: roots, ...env };
  return shell.run({ argv, env: environment, timeoutMs, outputMaxBytes: nixOutputMaxBytes }, signal);
}

function buildFailed(stderr: string, timedOut: boolean): OperatorError {
  const lines = stderr.trimEnd().split('\n').slice(-FAILURE_TAIL_LINES).join('\n');
  const message = timedOut
    ? 'The build of the system did not end in its time.'
    : 'The system that the manifest describes could not be built.';
  return new OperatorError('BUILD_FAILED', message, { detail: lines });
}
