/** Which host this is to a database: what lies in the state directory and what stands in PostgreSQL belong together. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperatorError } from '../../core/errors.ts';

const FILE = 'host-id';

/** Null for a directory that has never been worked in. Throws CONFIG_INVALID for a file that we did not write. */
export function readHostId(directory: string): string | null {
  const path = join(directory, FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) return text;
  throw new OperatorError('CONFIG_INVALID', `state.directory: ${path} holds no host id.`, {
    hint: 'Remove it: the host then takes its id from the database.',
  });
}

/** Whole or not at all. */
export function writeHostId(directory: string, hostId: string): void {
  const path = join(directory, FILE);
  writeFileSync(`${path}.new`, `${hostId}\n`, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
}
