/** What histories are played on in the real world: a stand-in GitHub, an operator that can be killed, and what can be seen of its host from outside. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FakeGitHub } from '../support/fake-github.ts';
import type { OperatorProcess } from '../support/operator-process.ts';

/** Something on the host that has to belong to a preview: to one of its instances, its database, or (by its slug) to itself. */
export interface FoundThing {
  readonly what: string;
  readonly of: 'instance' | 'database' | 'preview';
  readonly name: string;
}

export interface HostLook {
  readonly things: readonly FoundThing[];
  /** Instance → how many of it run, where any does. */
  readonly running: ReadonlyMap<string, number>;
}

export interface RealStage {
  readonly github: FakeGitHub;
  readonly operator: OperatorProcess;
  /** What a look costs depends on how many previews there are, not on how many there were. */
  look(): Promise<HostLook>;
  /** Of a PostgreSQL superuser, to the operator's own database, which is running. */
  databaseUrl(): Promise<string>;
  /** The body of the page at this host name. Rejects when it is not a 200. */
  askApp(label: string): Promise<string>;
  /** kill -9 of the operator's privileged helper, which comes back by itself; null where there is none. */
  readonly killHostd: (() => Promise<void>) | null;
}

/** Opens the stage for these repositories; what it leaves to `stack` ends with the batch. */
export type OpenStage = (
  stack: AsyncDisposableStack,
  prepare: (github: FakeGitHub) => Promise<{ readonly repositories: readonly string[] }>,
) => Promise<RealStage>;

/** The shortest that the configuration allows: a lost delivery costs this much. */
export const SWEEP_SECONDS = 10;

/** A folder for an operator. As root, PostgreSQL, the apps or the operator run as users of their own, who have to get there. */
export async function stageDirectory(stack: AsyncDisposableStack): Promise<string> {
  const directory = stack.adopt(await mkdtemp(join(tmpdir(), 'berth-world-')), (path) =>
    rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  );
  await chmod(directory, 0o711);
  return directory;
}
