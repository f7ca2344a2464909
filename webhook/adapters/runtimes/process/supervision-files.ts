/** What operator and supervisor tell each other, through files in the instance's directory. Written by us alone, so read without a schema. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Launch } from './launch.ts';
import type { ProcessIdentity } from './process-table.ts';

export interface SupervisedService {
  readonly name: string;
  readonly launch: Launch;
}

/** `run.json` */
export interface RunFile {
  readonly logs: string;
  readonly claim: string;
  readonly status: string;
  readonly services: readonly SupervisedService[];
  /** Above this much memory of all its processes together a service is ended. */
  readonly memoryMaxBytes: number;
}

/** `supervisor.json` */
export type ClaimFile = ProcessIdentity;

/** `status.json` */
export interface StatusFile {
  readonly services: readonly {
    readonly name: string;
    readonly state: 'running' | 'restarting' | 'stopped';
    readonly restarts: number;
    readonly process: ProcessIdentity | null;
  }[];
}

/** Null when there is no such file, or it is torn. Whoever reads it knows which of the above it is. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** Whole or not at all. Secrets are in some of them: for the owner alone. */
export function writeJson(path: string, content: unknown): void {
  const unfinished = `${path}.${process.pid}.new`;
  writeFileSync(unfinished, JSON.stringify(content), { mode: 0o600 });
  renameSync(unfinished, path);
}
