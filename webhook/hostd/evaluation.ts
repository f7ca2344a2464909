/**
 * Evaluates a preview-config.nix for its answer (core/preview-config.ts). The text is a stranger's program, so four walls stand around it, each of
 * which suffices for what it is there for: Nix's own pure and restricted mode without import from derivation and with no URI but the store's; a user that
 * exists for this one run; a network namespace with nothing in it and a file system without the host's data; and bounds of time and memory.
 * Its Nix store is a folder in memory that goes with it: what is evaluated reaches neither the host's store nor its daemon.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { OperatorError } from '../core/errors.ts';
import { EVALUATION_ANSWER_MAX_BYTES, FAILURE_TAIL_LINES } from '../core/limits.ts';
import { whyNixIsTooOld } from '../core/nix-version.ts';
import {
  EVALUATION_FLAGS,
  heapMaxBytes,
  isOutOfMemory,
  PREVIEW_CONFIG_FILE,
  refusalClassOf,
} from '../core/preview-config.ts';
import { environment, must, run, type Argv, type Outcome } from './programs.ts';

/** What is evaluated with what, and within which bounds. */
export interface EvaluationSettings {
  /** A folder like server-config/guest. */
  readonly guest: string;
  readonly timeoutMs: number;
  readonly memoryMiB: number;
  /** For test machines, whose Nix is older than what we accept. */
  readonly allowOldNix: boolean;
}

/** Folders of files to evaluate. In /run, because systemd binds them into the unit: hostd's own /tmp is nobody else's. */
const workDirectory = '/run/berth-hostd/evaluations';

/** Throws CONFIG_REFUSED with the class of refusal, EVAL_TIMEOUT, EVAL_MEMORY; RUNTIME_FAILED when it could not be tried. */
export async function evaluateConfig(
  settings: EvaluationSettings,
  config: string,
  signal: AbortSignal,
): Promise<{ json: string }> {
  const nix = await nixProgram(settings);
  const id = randomUUID();
  const flake = join(workDirectory, id);
  const unit = `berth-evaluation-${id}.service`;
  // The unit itself holds the pipes: ending systemd-run alone would be waited for until the unit's own limit.
  // It may not be there yet: below it is stopped once more.
  const stop = () => void run(['systemctl', 'stop', unit]).catch(() => undefined);
  signal.addEventListener('abort', stop);
  try {
    await mkdir(workDirectory, { recursive: true });
    await cp(settings.guest, flake, { recursive: true, dereference: true });
    await must(['chmod', '-R', 'a+rX,u+w', '--', flake]);
    await writeFile(join(flake, PREVIEW_CONFIG_FILE), config);
    const nixpkgs = await lockedNixpkgs(flake);
    const argv = evaluationCommand({ settings, nix, flake, unit, nixpkgs: nixpkgs?.path ?? null });
    // systemd ends the unit at its own limit; this one is for a systemd that does not answer.
    const timeoutMs = settings.timeoutMs + 30_000;
    return answerFrom(await run(argv, { signal, timeoutMs, input: nixpkgs?.registration ?? '' }));
  } finally {
    signal.removeEventListener('abort', stop);
    await run(['systemctl', 'stop', unit]);
    await rm(flake, { recursive: true, force: true });
  }
}

async function nixProgram(settings: EvaluationSettings): Promise<string> {
  const version = await run(['nix', '--version']);
  const tooOld = whyNixIsTooOld(version.stdout);
  if (tooOld !== null && !settings.allowOldNix)
    throw new OperatorError('CONFIG_REFUSED', `preview-config.nix is not evaluated on this host (old-nix). ${tooOld}`, {
      hint: 'Upgrade Nix on the host, or say in a preview.toml what the app needs.',
    });
  for (const directory of environment.PATH.split(':')) {
    const found = await realpath(join(directory, 'nix')).catch(() => null);
    if (found !== null) return found;
  }
  throw new OperatorError('RUNTIME_FAILED', 'There is no Nix on this host.');
}

const lockSchema = z.object({
  nodes: z.object({
    nixpkgs: z.object({
      locked: z.object({
        path: z.string().regex(/^\/nix\/store\/[0-9a-z]{32}-[A-Za-z0-9+._?=-]{1,200}$/),
        narHash: z.string().regex(/^sha256-[A-Za-z0-9+/]{43}=$/),
      }),
    }),
  }),
});

/**
 * The nixpkgs that the guest is locked to, as the line that makes it known to the evaluation's own store (`nix-store --load-db`), so that it need
 * not be copied there. Null for a guest without inputs. Without network it must be in the host's store already.
 */
async function lockedNixpkgs(flake: string): Promise<{ path: string; registration: string } | null> {
  const text = await readFile(join(flake, 'flake.lock'), 'utf8').catch(() => null);
  if (text === null) return null;
  const lock = lockSchema.safeParse(JSON.parse(text));
  if (!lock.success)
    throw new OperatorError('CONFIG_REFUSED', 'preview-config.nix is not evaluated on this host (no-local-nixpkgs).', {
      hint: 'Lock the guest to a nixpkgs in the host’s store: berth.previewOperator.guestNixpkgs.',
    });
  const { path, narHash } = lock.data.nodes.nixpkgs.locked;
  const hash = Buffer.from(narHash.slice('sha256-'.length), 'base64').toString('hex');
  // Path, hash, size (not looked at), deriver, number of references.
  return { path, registration: [path, hash, '1', '', '0', ''].join('\n') };
}

const system = process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux';

/** Run with Nix and its arguments. Only the shell's own words: on NixOS there is no other program without the host's profile. */
const script = [
  'if read -r first; then',
  '  { printf "%s\\n" "$first"; while read -r line; do printf "%s\\n" "$line"; done; } | "${1%/*}/nix-store" --store /evaluation/store --load-db || exit',
  'fi',
  'exec "$@"',
].join('\n');

/** Beside those that matter: no daemon, no registry, no substituter, nothing of the host's settings. */
const nixArguments = [
  '--extra-experimental-features',
  'nix-command flakes',
  'eval',
  '--json',
  '--store',
  '/evaluation/store',
  ...EVALUATION_FLAGS,
  ...['substituters', 'flake-registry', 'build-users-group'].flatMap((name) => ['--option', name, '']),
  `path:/flake#evaluation.${system}`,
];

/** Empty for the evaluation: the host's data, and the daemon's socket. */
const hidden = ['/etc', '/var', '/home', '/root', '/run', '/srv', '/mnt', '/opt', '/boot', '/media', '/nix/var'];

interface Run {
  readonly settings: EvaluationSettings;
  readonly nix: string;
  readonly flake: string;
  readonly unit: string;
  readonly nixpkgs: string | null;
}

/** The transient unit that evaluates. Its text is the wall that the kernel keeps; Nix's own is in the script. */
function evaluationCommand({ settings, nix, flake, unit, nixpkgs }: Run): Argv {
  const properties = [
    'CollectMode=inactive-or-failed',
    'DynamicUser=yes',
    'PrivateNetwork=yes',
    'PrivateDevices=yes',
    'PrivateIPC=yes',
    'RestrictAddressFamilies=AF_UNIX',
    'RestrictNamespaces=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'CapabilityBoundingSet=',
    'ProtectProc=invisible',
    'ProtectKernelTunables=yes',
    'ProtectControlGroups=yes',
    ...hidden.filter((path) => existsSync(path)).map((path) => `TemporaryFileSystem=${path}:ro`),
    `TemporaryFileSystem=/evaluation:mode=1777,size=${settings.memoryMiB / 4}M`,
    `BindReadOnlyPaths=${flake}:/flake`,
    ...(nixpkgs === null ? [] : [`BindReadOnlyPaths=${nixpkgs}:/evaluation/store${nixpkgs}`]),
    `RuntimeMaxSec=${settings.timeoutMs}ms`,
    // A pattern that backtracks for ever looks at no signal.
    'KillSignal=SIGKILL',
    'TimeoutStopSec=2s',
    `MemoryMax=${settings.memoryMiB}M`,
    'MemorySwapMax=0',
    // Also where memory is not counted: the collector reserves addresses that it does not use.
    `LimitAS=${settings.memoryMiB * 2}M`,
    `LimitFSIZE=${settings.memoryMiB / 4}M`,
    'LimitCORE=0',
    'TasksMax=64',
    'CPUWeight=20',
    'Nice=10',
    // Nothing of the daemon's environment, and a home and settings that are empty.
    `Environment=HOME=/evaluation NIX_CONF_DIR=/evaluation XDG_CACHE_HOME=/evaluation/cache PATH=${dirname(nix)} LANG=C.UTF-8 GC_MAXIMUM_HEAP_SIZE=${heapMaxBytes(settings.memoryMiB)}`,
    'UnsetEnvironment=NIX_REMOTE NIX_PATH',
  ];
  return [
    'systemd-run',
    '--pipe',
    '--wait',
    `--unit=${unit}`,
    ...properties.map((property) => `--property=${property}`),
    '--',
    '/bin/sh',
    '-c',
    script,
    'evaluation',
    nix,
    ...nixArguments,
  ];
}

function answerFrom({ status, stdout, stderr }: Outcome): { json: string } {
  // systemd-run's own last words, after everything that the unit printed.
  const result = /^Finished with result: (\S+)$/gm;
  const how = [...stderr.matchAll(result)].at(-1)?.[1] ?? '';
  if (how === 'timeout' || status === 124)
    throw new OperatorError('EVAL_TIMEOUT', 'The evaluation of preview-config.nix did not end in its time.');
  if (how === 'oom-kill' || isOutOfMemory(stderr))
    throw new OperatorError('EVAL_MEMORY', 'The evaluation of preview-config.nix took more memory than it may.');
  if (status !== 0)
    throw refused(
      refusalClassOf(stderr),
      printable(
        stderr.replace(
          /^(?:Running as unit|Finished with|Main processes|Service runtime|CPU time|IO bytes|IP traffic|Memory peak).*\n?/gm,
          '',
        ),
      ),
    );
  if (Buffer.byteLength(stdout) > EVALUATION_ANSWER_MAX_BYTES) throw refused('too-much-output', '');
  return { json: stdout };
}

function refused(kind: string, stderr: string): OperatorError {
  return new OperatorError('CONFIG_REFUSED', `preview-config.nix was refused (${kind}).`, {
    detail: stderr.trim().split('\n').slice(-FAILURE_TAIL_LINES).join('\n').slice(-4_000),
  });
}

// oxlint-disable-next-line no-control-regex -- removing them is the point
const moves = /\u001b\[[0-9;?]*[ -/]*[@-~]|[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;

/** Nix prints what the expression says, which may hold what moves a terminal's cursor. */
function printable(text: string): string {
  return text.replace(moves, '');
}
