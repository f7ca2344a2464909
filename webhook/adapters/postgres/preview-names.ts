/** The names of previews: slugs and host labels, each of which belongs to one preview at a time. */
import type { ClientBase, Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import type { HostLabel, Slug } from '../../core/names.ts';
import type { PreviewStore } from '../../ports.ts';
import { inTransaction, rowsOf } from './connections.ts';
import { lockedRow, nameLock, noRecord, type ProvenKey } from './locked-row.ts';

export function namesOf(pool: Pool, proven: ProvenKey): Pick<PreviewStore, 'claimSlug' | 'claimHosts'> {
  return {
    claimSlug: async (lock, candidates) => claimSlug(pool, proven(lock), candidates),
    claimHosts: async (lock, labels) => {
      const key = proven(lock);
      // Only who holds the lock gives the preview labels or takes them away.
      if (await hasJust(pool, key, labels)) return;
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

async function claimSlug(pool: Pool, key: string, candidates: readonly Slug[]): Promise<Slug> {
  for (const candidate of candidates) {
    const [row] = await rowsOf<{ slug: Slug | null }>(
      pool,
      `with preview as (select id, slug from berth.previews where key = $1 for update),
         -- Held by who removes what was left under the name (lockName).
         free as (select pg_advisory_xact_lock(${nameLock('$2')}) from preview where slug is null),
         claimed as (
           insert into berth.host_labels (label, preview_id) select $2, id from preview, free where slug is null
           on conflict (label) do nothing returning label
         ),
         named as (update berth.previews set slug = label from preview, claimed where previews.id = preview.id)
       select coalesce(slug, label) as slug from preview left join claimed on true`,
      [key, candidate],
    );
    if (row === undefined) throw noRecord(key);
    if (row.slug !== null) return row.slug;
  }
  throw new OperatorError('SLUG_UNAVAILABLE', `Every name for this preview is taken: ${candidates.join(', ')}.`);
}

/** Whether its labels are these and its slug's. */
async function hasJust(pool: Pool, key: string, labels: readonly HostLabel[]): Promise<boolean> {
  const [row] = await rowsOf<{ slug: Slug | null; labels: string[] }>(
    pool,
    `select slug, array(select label from berth.host_labels where preview_id = previews.id) as labels
     from berth.previews where key = $1`,
    [key],
  );
  if (row === undefined) return false;
  const wanted = wantedLabels(row.slug, labels);
  return row.labels.length === wanted.size && row.labels.every((label) => wanted.has(label));
}

function wantedLabels(slug: Slug | null, labels: readonly HostLabel[]): Set<string> {
  return new Set<string>(slug === null ? labels : [...labels, slug]);
}

/** The slug's own label stays claimed whether or not it is among them: it is the preview's for life. */
async function claimHosts(client: ClientBase, key: string, labels: readonly HostLabel[]): Promise<void> {
  const { id, slug } = await lockedRow(client, key);
  const wanted = [...wantedLabels(slug, labels)];
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
