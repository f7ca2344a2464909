/** What the cases of the store's contract have in common. */
import assert from 'node:assert/strict';
import type { Slug } from '../../webhook/core/names.ts';
import {
  keyText,
  type PreviewKey,
  type RepositoryName,
  type Revision,
  type Sha,
} from '../../webhook/core/pull-request.ts';
import { parsePool, type AddressPool } from '../../webhook/core/slots.ts';
import type { JobQueue, PreviewLock, PreviewStore } from '../../webhook/ports.ts';

export interface StoreUnderTest extends AsyncDisposable {
  readonly store: PreviewStore;
  readonly jobs: JobQueue;
  /** Names of the jobs that wait, `<task>:<key>`, sorted, with when they are due. */
  readonly waitingJobs: () => Promise<{ name: string; runAt: Date }[]>;
}

export type StoreFactory = (options: { pool: AddressPool }) => Promise<StoreUnderTest>;

export type WithStore = (run: (under: StoreUnderTest) => Promise<void>, pool?: AddressPool) => () => Promise<void>;

export const REPOSITORY = 'acme/shop' as RepositoryName;
const sha = (digit: string) => digit.repeat(40) as Sha;
export const FIRST: Revision = { sha: sha('a'), ref: 'feature' };
export const SECOND: Revision = { sha: sha('b'), ref: 'feature' };
export const slug = (text: string) => text as Slug;

export function pullKey(number: number, repositoryId = 81): PreviewKey {
  return { repositoryId, subject: { kind: 'pull', number } };
}

function poolOf(cidr: string): AddressPool {
  const pool = parsePool(cidr);
  assert.ok(pool);
  return pool;
}

export const WIDE = poolOf('10.100.0.0/16');
/** Six slots. */
export const SMALL = poolOf('10.100.0.0/28');

export async function locked(store: PreviewStore, key: PreviewKey): Promise<PreviewLock> {
  const lock = await store.lock(key);
  assert.ok(lock, `the lock of ${keyText(key)} is free`);
  return lock;
}

/** A record with its lock. */
export async function requested(store: PreviewStore, key: PreviewKey): Promise<PreviewLock> {
  await store.request(key, REPOSITORY);
  return locked(store, key);
}
