/** The names of previews: slugs and host labels, each of which belongs to one preview at a time. */
import type { ClientBase, Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import type { HostLabel, Slug } from '../../core/names.ts';
import type { PreviewStore } from '../../ports.ts';
import { inTransaction, rowsOf } from './connections.ts';
import { lockedRow, type ProvenKey } from './locked-row.ts';

export function namesOf(pool: Pool, proven: ProvenKey): Pick<PreviewStore, 'claimSlug' | 'claimHosts'> {
  return {
    claimSlug: async (lock, candidates) => {
      const key = proven(lock);
      return inTransaction(pool, (client) => claimSlug(client, key, candidates));
    },
    claimHosts: async (lock, labels) => {
      const key = proven(lock);
      await inTransaction(pool, (client) => claimHosts(client, key, labels));
    },
  };
}

/** Takes labels that are free. Waits for who is just claiming one, and then finds it taken, or free again. Returns those it got. */
async function insertLabels(client: ClientBase, previewId: number, labels: readonly string[]): Promise<string[]> {
  const rows = await rowsOf<{ label: string }>(
    client,
    `insert into berth.host_labels (label, preview_id) select label, $1 from unnest($2::text[]) as label
     order by label on conflict (label) do nothing returning label`,
    [previewId, labels],
  );
  return rows.map((row) => row.label);
}

async function claimSlug(client: ClientBase, key: string, candidates: readonly Slug[]): Promise<Slug> {
  const row = await lockedRow(client, key);
  if (row.slug !== null) return row.slug;
  for (const candidate of candidates) {
    const [claimed] = await insertLabels(client, row.id, [candidate]);
    if (claimed === undefined) continue;
    await rowsOf(client, 'update berth.previews set slug = $2 where id = $1', [row.id, candidate]);
    return candidate;
  }
  throw new OperatorError('SLUG_UNAVAILABLE', `Every name for this preview is taken: ${candidates.join(', ')}.`);
}

/** The slug's own label stays claimed whether or not it is among them: it is the preview's for life. */
async function claimHosts(client: ClientBase, key: string, labels: readonly HostLabel[]): Promise<void> {
  const { id, slug } = await lockedRow(client, key);
  const wanted = [...new Set<string>(slug === null ? labels : [...labels, slug])];
  await rowsOf(client, 'delete from berth.host_labels where preview_id = $1 and label <> all ($2::text[])', [
    id,
    wanted,
  ]);
  await insertLabels(client, id, wanted);
  const [taken] = await rowsOf<{ label: string }>(
    client,
    'select label from berth.host_labels where label = any ($2::text[]) and preview_id <> $1 order by label',
    [id, wanted],
  );
  if (taken !== undefined)
    throw new OperatorError('HOST_NAME_TAKEN', `The host name ${taken.label} belongs to another preview.`);
}
