/** Applies deliberate bugs one by one to a copy of the source and lets the simulator look for them there. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Mutation } from './mutations.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const TIMEOUT_MS = 120_000;

export interface MutationVerdict {
  readonly name: string;
  readonly isFound: boolean;
  /** The first divergence that it caused. */
  readonly divergence: string;
}

/** Whether the simulator finds the bug within so many schedules. Throws when the mutation does not apply, or the simulator fails in another way. */
export async function checkMutation(
  mutation: Mutation,
  options: { schedules: number; seed: number },
): Promise<MutationVerdict> {
  const copy = await mkdtemp(join(tmpdir(), 'berth-mutation-'));
  try {
    for (const part of ['webhook', 'test/simulation', 'scripts/simulate.ts', 'package.json']) {
      await cp(join(ROOT, part), join(copy, part), { recursive: true });
    }
    await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    const file = join(copy, mutation.file);
    const source = await readFile(file, 'utf8');
    if (source.split(mutation.find).length !== 2)
      throw new Error(`mutation "${mutation.name}": its text does not occur exactly once in ${mutation.file}`);
    await writeFile(
      file,
      source.replace(mutation.find, () => mutation.replace),
    );
    const words = [
      'scripts/simulate.ts',
      '--schedules',
      String(options.schedules),
      '--seed',
      String(options.seed),
      '--fail-fast',
      '--json',
    ];
    const output = await promisify(execFile)(process.execPath, words, {
      cwd: copy,
      timeout: TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    }).catch((error: { code?: unknown; stdout?: string; stderr?: string }) => {
      if (error.code === 1 && error.stdout?.startsWith('{')) return { stdout: error.stdout };
      throw new Error(`the simulator did not run with "${mutation.name}": ${error.stderr ?? ''}`, { cause: error });
    });
    const result = JSON.parse(output.stdout) as { divergences: number; failures: { divergences: string[] }[] };
    return {
      name: mutation.name,
      isFound: result.divergences > 0,
      divergence: result.failures[0]?.divergences[0] ?? '',
    };
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}
