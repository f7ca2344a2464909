import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Evaluates Nix expressions of ours against a real nixpkgs tree, with the nix-instantiate that
 * NIX_INSTANTIATE names (else the one on PATH) and the trees of NIXPKGS and DISKO.
 *
 * An evaluation costs 3 to 8 s and up to 1.4 GB, so each answer is kept under node_modules/.cache, keyed by the
 * expression, the trees' paths and every Nix file of ours: it is asked again only after a change.
 */

const runFile = promisify(execFile);

export const repositoryRoot = join(import.meta.dirname, '..', '..');
const cacheFolder = join(repositoryRoot, 'node_modules', '.cache', 'berth-nix');

/** A single evaluation of ours takes under 10 s alone; a batch of twenty on a loaded two-core machine, minutes. */
const evaluationLimitMs = 15 * 60_000;

export interface Evaluator {
  readonly nixInstantiate: string;
  readonly nixpkgs: string;
  readonly disko: string;
}

/** What is missing for a real evaluation, as one sentence for the skip message, or the evaluator. */
export function findEvaluator(env: NodeJS.ProcessEnv = process.env): Evaluator | string {
  const nixInstantiate = findNixInstantiate(env);
  if (nixInstantiate === undefined) return 'needs Nix: put nix-instantiate on PATH, or see npm run nix-beside';
  const nixpkgs = env['NIXPKGS'];
  if (nixpkgs === undefined) return 'needs a nixpkgs tree: set NIXPKGS to its path';
  if (!existsSync(join(nixpkgs, 'nixos', 'lib', 'eval-config.nix'))) return `NIXPKGS=${nixpkgs} holds no nixpkgs tree`;
  const disko = env['DISKO'];
  if (disko === undefined) return 'needs a disko tree: set DISKO to its path';
  return { nixInstantiate, nixpkgs, disko };
}

/** NIX_INSTANTIATE, else what is on PATH; undefined when there is neither. */
export function findNixInstantiate(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folders = (env['PATH'] ?? '').split(':');
  return (
    env['NIX_INSTANTIATE'] ?? folders.map((folder) => join(folder, 'nix-instantiate')).find((file) => existsSync(file))
  );
}

/**
 * The JSON value of a Nix expression in which `t` is test/nix/evaluate.nix applied to the trees.
 * @throws Error with Nix's own message when the evaluation fails.
 */
export async function evaluateJson(evaluator: Evaluator, expression: string): Promise<unknown> {
  const key = cacheKey(evaluator, expression);
  const cached = join(cacheFolder, `${key}.json`);
  if (existsSync(cached)) return JSON.parse(readFileSync(cached, 'utf8'));
  const stdout = await instantiate(evaluator, ['--json', '--strict'], expression);
  mkdirSync(cacheFolder, { recursive: true });
  writeFileSync(cached, stdout);
  return JSON.parse(stdout);
}

/**
 * As evaluateJson, with the CPU time that Nix took when the answer was made.
 * @throws Error with Nix's own message when the evaluation fails.
 */
export async function evaluateTimed(
  evaluator: Evaluator,
  expression: string,
): Promise<{ value: unknown; cpuSeconds: number }> {
  const cached = join(cacheFolder, `${cacheKey(evaluator, expression)}.timed.json`);
  if (!existsSync(cached)) {
    mkdirSync(cacheFolder, { recursive: true });
    const statistics = `${cached}.statistics`;
    const stdout = await instantiate(evaluator, ['--json', '--strict'], expression, {
      NIX_SHOW_STATS: '1',
      NIX_SHOW_STATS_PATH: statistics,
    });
    const { cpuTime } = JSON.parse(readFileSync(statistics, 'utf8')) as { cpuTime: number };
    writeFileSync(cached, JSON.stringify({ value: JSON.parse(stdout), cpuSeconds: cpuTime }));
    rmSync(statistics);
  }
  return JSON.parse(readFileSync(cached, 'utf8')) as { value: unknown; cpuSeconds: number };
}

/** Nix's error text for an expression that must not evaluate, or undefined when it does evaluate. */
export async function evaluationError(evaluator: Evaluator, expression: string): Promise<string | undefined> {
  const cached = join(cacheFolder, `${cacheKey(evaluator, expression)}.error.json`);
  if (existsSync(cached)) return JSON.parse(readFileSync(cached, 'utf8')) as string;
  try {
    await instantiate(evaluator, ['--json', '--strict'], expression);
    return undefined;
  } catch (error) {
    const text = String((error as { stderr?: string }).stderr ?? error);
    mkdirSync(cacheFolder, { recursive: true });
    writeFileSync(cached, JSON.stringify(text));
    return text;
  }
}

async function instantiate(
  evaluator: Evaluator,
  flags: string[],
  expression: string,
  more: Record<string, string> = {},
): Promise<string> {
  const argv = [
    evaluator.nixInstantiate,
    '--store',
    'dummy://',
    '--eval',
    ...flags,
    '-E',
    withTrees(evaluator, expression),
  ];
  // Nice: an evaluation is the heaviest thing of a test run and nothing waits for it alone.
  const { stdout } = await runFile('nice', ['-n', '10', ...argv], {
    timeout: evaluationLimitMs,
    maxBuffer: 64 * 1024 * 1024,
    env: { PATH: process.env['PATH'], HOME: cacheFolder, NIX_PATH: '', ...more },
  });
  return stdout;
}

function withTrees(evaluator: Evaluator, expression: string): string {
  const tree = (path: string) => `(/. + ${JSON.stringify(path)})`;
  return `let t = import ${tree(join(repositoryRoot, 'test/nix/evaluate.nix'))} {
    nixpkgs = ${tree(evaluator.nixpkgs)}; disko = ${tree(evaluator.disko)}; root = ${tree(repositoryRoot)};
  }; inherit (t) lib; root = ${tree(repositoryRoot)}; in ${expression}`;
}

function cacheKey(evaluator: Evaluator, expression: string): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([evaluator, expression]));
  for (const file of filesRead()) hash.update(file).update(readFileSync(join(repositoryRoot, file)));
  return hash.digest('hex').slice(0, 40);
}

/** Every file of ours that an evaluation may read: the Nix files, what they load as data, and the npm lock. */
function filesRead(): string[] {
  const folders = ['server-config', 'initial-install', 'test/nix', 'test/nixos'];
  const found = folders
    .filter((folder) => existsSync(join(repositoryRoot, folder)))
    .flatMap((folder) =>
      readdirSync(join(repositoryRoot, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !/\.(md|ts)$/.test(entry.name))
        .map((entry) => join(entry.parentPath, entry.name).slice(repositoryRoot.length + 1)),
    );
  return [...found, 'package-lock.json', 'package.json'].sort();
}
