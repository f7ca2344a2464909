/** Rows of the database as records of core, and back. What is read here was written here: revived, not validated again. */
import type { DatabaseName, Slug } from '../../core/names.ts';
import { instanceNameOf } from '../../core/names.ts';
import type {
  Failure,
  Hold,
  InstanceFacts,
  InstanceRecord,
  PreviewRecord,
  StepName,
  Wanted,
} from '../../core/preview.ts';
import { parseKeyText, type PreviewKey, type RepositoryName, type Sha } from '../../core/pull-request.ts';
import type { ReportRecord } from '../../core/report-record.ts';

/** A row as to_jsonb gives it: times are text. */
type Json = Record<string, unknown>;

/**
 * The columns of a preview with its instances, oldest first, in one row. Ends before `where`. By name, as everywhere: a prepared `*` fails from the moment on
 * at which a newer version's migration adds a column.
 */
export const SELECT_PREVIEWS = `
  select id, key, repository, generation, concluded_generation, created_at, requested_at, slug, wanted, hold, retry_asked_at,
    database_name, database_password, answering_id, failure, doing_step, doing_since, coalesce((
    select jsonb_agg(to_jsonb(instances) || jsonb_build_object('slot', slots.slot) order by instances.id)
    from berth.instances join berth.slots on slots.instance_id = instances.id
    where instances.preview_id = previews.id
  ), '[]') as instances
  from berth.previews as previews`;

/** Columns by the fact they hold; the only names that saveInstance writes into SQL. */
export const INSTANCE_COLUMNS: Readonly<Record<keyof InstanceFacts, { column: string; json: boolean }>> = {
  manifest: { column: 'manifest', json: true },
  assumptions: { column: 'assumptions', json: true },
  system: { column: 'system', json: false },
  isSystemCached: { column: 'system_cached', json: false },
  sourcePlacedAt: { column: 'source_placed_at', json: false },
  setUpAt: { column: 'set_up_at', json: false },
  upstreams: { column: 'upstreams', json: true },
  healthyAt: { column: 'healthy_at', json: false },
  routedAt: { column: 'routed_at', json: false },
  retiredAt: { column: 'retired_at', json: false },
  failedAt: { column: 'failed_at', json: false },
  discardedAt: { column: 'discarded_at', json: false },
  timings: { column: 'timings', json: true },
};

function dateOrNull(value: unknown): Date | null {
  if (value === null || value === undefined) return null;
  return value instanceof Date ? value : new Date(value as string);
}

function date(value: unknown): Date {
  return dateOrNull(value) ?? new Date(Number.NaN);
}

/** A key that we stored ourselves. Throws when the table was changed by another hand. */
function keyFrom(text: unknown): PreviewKey {
  const key = parseKeyText(String(text));
  if (key === null) throw new Error(`the database holds a preview key that we never write: ${JSON.stringify(text)}`);
  return key;
}

export function instanceFrom(row: Json): InstanceRecord {
  const slot = row['slot'] as number;
  return {
    id: row['id'] as number,
    name: instanceNameOf(slot),
    slot,
    revision: { sha: row['revision_sha'] as Sha, ref: row['revision_ref'] as string },
    createdAt: date(row['created_at']),
    generation: row['generation'] as number,
    manifest: row['manifest'] as InstanceRecord['manifest'],
    assumptions: row['assumptions'] as string[],
    system: row['system'] as string | null,
    isSystemCached: row['system_cached'] as boolean | null,
    sourcePlacedAt: dateOrNull(row['source_placed_at']),
    setUpAt: dateOrNull(row['set_up_at']),
    upstreams: row['upstreams'] as InstanceRecord['upstreams'],
    healthyAt: dateOrNull(row['healthy_at']),
    routedAt: dateOrNull(row['routed_at']),
    retiredAt: dateOrNull(row['retired_at']),
    failedAt: dateOrNull(row['failed_at']),
    discardedAt: dateOrNull(row['discarded_at']),
    timings: row['timings'] as InstanceRecord['timings'],
  };
}

function failureFrom(value: unknown): Failure | null {
  if (value === null) return null;
  const failure = value as Failure;
  return { ...failure, at: date(failure.at), nextAttemptAt: dateOrNull(failure.nextAttemptAt) };
}

export function previewFrom(row: Json): PreviewRecord {
  const instances = (row['instances'] as Json[]).map(instanceFrom);
  const databaseName = row['database_name'] as DatabaseName | null;
  const step = row['doing_step'] as StepName | null;
  return {
    id: row['id'] as number,
    key: keyFrom(row['key']),
    repository: row['repository'] as RepositoryName,
    generation: row['generation'] as number,
    concludedGeneration: row['concluded_generation'] as number,
    createdAt: date(row['created_at']),
    requestedAt: date(row['requested_at']),
    slug: row['slug'] as Slug | null,
    wanted: row['wanted'] as Wanted | null,
    hold: row['hold'] as Hold | null,
    retryAskedAt: dateOrNull(row['retry_asked_at']),
    database: databaseName === null ? null : { name: databaseName, password: row['database_password'] as string },
    instances,
    answering: instances.find((instance) => instance.id === row['answering_id'])?.name ?? null,
    failure: failureFrom(row['failure']),
    doing: step === null ? null : { step, since: date(row['doing_since']) },
  };
}

export const SELECT_REPORTS = `
  select key, repository, comment_id, creating_since, comment_hash, status_sha, status_hash, look_asked_at, looked_at
  from berth.reports`;

export function reportFrom(row: Json): ReportRecord {
  const sha = row['status_sha'] as Sha | null;
  return {
    key: keyFrom(row['key']),
    repository: row['repository'] as RepositoryName,
    commentId: row['comment_id'] as number | null,
    creatingSince: dateOrNull(row['creating_since']),
    commentHash: row['comment_hash'] as string | null,
    status: sha === null ? null : { sha, hash: row['status_hash'] as string },
    lookAskedAt: dateOrNull(row['look_asked_at']),
    lookedAt: dateOrNull(row['looked_at']),
  };
}
