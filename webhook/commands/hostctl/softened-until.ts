import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const schema = z.strictObject({ user: z.string(), until: z.iso.datetime() });

export interface Softening {
  readonly user: string;
  readonly until: Date;
}

/** Who may edit the configuration, and how long; undefined when it is hardened. An unreadable record counts as expired. */
export function readSoftening(stateDirectory: string): Softening | undefined {
  let text: string;
  try {
    text = readFileSync(recordIn(stateDirectory), 'utf8');
  } catch {
    return undefined;
  }
  try {
    const { user, until } = schema.parse(JSON.parse(text));
    return { user, until: new Date(until) };
  } catch {
    return { user: 'unknown', until: new Date(0) };
  }
}

/** Written before the tree is opened, so that a kill in between leaves a record and `maintain` closes the tree again. */
export function recordSoftening(stateDirectory: string, { user, until }: Softening): void {
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const path = recordIn(stateDirectory);
  writeFileSync(`${path}.new`, JSON.stringify({ user, until: until.toISOString() }), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function forgetSoftening(stateDirectory: string): void {
  rmSync(recordIn(stateDirectory), { force: true });
}

function recordIn(stateDirectory: string): string {
  return join(stateDirectory, 'softened.json');
}
