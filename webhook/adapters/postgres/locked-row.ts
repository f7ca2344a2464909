/** What has to be held before a preview is changed: the preview's lock, in a transaction its row, and the names that it is given. */
import type { ClientBase } from 'pg';
import type { Slug } from '../../core/names.ts';
import type { PreviewLock } from '../../ports.ts';
import { rowsOf } from './connections.ts';

/** The text of the key that the lock is for. Throws when the lock is not held any more. */
export type ProvenKey = (lock: PreviewLock) => string;

interface LockedRow {
  readonly id: number;
  readonly slug: Slug | null;
}

/** The preview's row, locked until the transaction ends. Throws when there is none: then nothing can be given to it. */
export async function lockedRow(client: ClientBase, key: string): Promise<LockedRow> {
  const [row] = await rowsOf<LockedRow>(client, 'select id, slug from berth.previews where key = $1 for update', [key]);
  if (row === undefined) throw noRecord(key);
  return row;
}

/** The lock of a name, for the parameter that holds it; `liveness.ts` takes it for as long as a connection lives, a claim until its transaction ends. */
export const nameLock = (parameter: string) => `hashtextextended('berth.preview:' || ${parameter}, 0)`;

/** What is thrown where a preview is to be given something, and there is no such preview. */
export function noRecord(key: string): Error {
  return new Error(`there is no record of preview ${key}`);
}
