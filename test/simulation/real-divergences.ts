/** Compares the real world with the model from the outside: catalogs, what is found on the host, answers at URLs, GitHub's threads. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { isAllowedRepository } from '../../webhook/core/policy.ts';
import type { RepositoryName } from '../../webhook/core/pull-request.ts';
import type { FakePullRequest } from '../support/fake-github/pull-request.ts';
import type { FoundThing, RealStage } from './real-stage.ts';
import type { AppKind } from './simulated-github.ts';

/** What the model knows of the real world that is compared with it. */
export interface RealWorld {
  readonly stage: RealStage;
  readonly allowed: readonly string[];
  /** What the app at a commit is like. */
  readonly apps: ReadonlyMap<string, AppKind>;
  /** Commits of strangers. */
  readonly strangers: ReadonlySet<string>;
  /** GUIDs of the deliveries that were answered with 202. */
  readonly acknowledged: readonly string[];
}

/** What there is, read once for all histories. */
export interface RealInventory {
  readonly previews: ReadonlyMap<string, FoundPreview>;
  /** Instance → how many of it run. */
  readonly running: ReadonlyMap<string, number>;
  readonly databases: ReadonlySet<string>;
  /** Everything of previews, whoever it belongs to. */
  readonly things: readonly FoundThing[];
  /** What belongs to nobody, or breaks a promise whoever it belongs to. */
  readonly problems: readonly string[];
}

interface FoundPreview {
  readonly slug: string | null;
  readonly database: string | null;
  readonly instances: readonly { readonly name: string; readonly answering: boolean }[];
}

/** On a busy machine an app may not even listen in the two seconds that the unhealthy one has. */
const FAILURES_OF: Readonly<Partial<Record<AppKind, readonly string[]>>> = {
  'bad-manifest': ['MANIFEST_INVALID'],
  'no-manifest': ['MANIFEST_MISSING'],
  'setup-fails': ['SETUP_FAILED'],
  unhealthy: ['UNHEALTHY', 'NEVER_LISTENED'],
};

export async function takeRealInventory(world: RealWorld): Promise<RealInventory> {
  const { running, things: onHost } = await world.stage.look();
  const client = new Client({ connectionString: await world.stage.databaseUrl() });
  await client.connect();
  try {
    const names = async (text: string, values: unknown[] = []) =>
      (await client.query<{ name: string }>(text, values)).rows.map(({ name }) => name);
    const databases = new Set(await names(`select datname as name from pg_database where datname like 'preview\\_%'`));
    const roles = await names(`select rolname as name from pg_roles where rolname like 'preview\\_%'`);
    const labels = await names(
      `select label as name from berth.host_labels left join berth.previews p on p.id = preview_id where p.slug is null`,
    );
    const lost = await names(
      `select id as name from unnest($1::uuid[]) as id where not exists (select from berth.deliveries d where d.id = id.id)`,
      [world.acknowledged],
    );
    const { rows } = await client.query<{
      key: string;
      slug: string | null;
      database: string | null;
      instances: FoundPreview['instances'];
    }>(
      `select key, slug, database_name as database,
        coalesce((select json_agg(json_build_object('name', 'p' || slot, 'answering', i.id = answering_id) order by i.id)
          from berth.instances i join berth.slots s on s.instance_id = i.id where i.preview_id = p.id), '[]') as instances
      from berth.previews p`,
    );
    const previews = new Map(rows.map((row) => [row.key, row]));
    const things: FoundThing[] = [
      ...onHost,
      ...[...databases].map((name) => ({ what: 'database', of: 'database', name }) as const),
      ...roles.map((name) => ({ what: 'role', of: 'database', name }) as const),
    ];
    const problems = [
      ...lost.map((id) => `${id} was acknowledged and lost`),
      ...labels.map((label) => `host name ${label} belongs to nobody`),
      ...nobodys(things, rows),
      ...(await fetchedStrangers(world)),
    ];
    return { previews, running, databases, things, problems };
  } finally {
    await client.end();
  }
}

function nobodys(things: readonly FoundThing[], records: readonly FoundPreview[]): string[] {
  const owned: Readonly<Record<FoundThing['of'], ReadonlySet<string>>> = {
    instance: new Set(records.flatMap((record) => record.instances.map(({ name }) => name))),
    database: new Set(records.flatMap(({ database }) => database ?? [])),
    preview: new Set(records.flatMap(({ slug }) => slug ?? [])),
  };
  return things
    .filter(({ of, name }) => !owned[of].has(name))
    .map(({ what, name }) => `${what} ${name} belongs to nobody`);
}

async function fetchedStrangers(world: RealWorld): Promise<string[]> {
  const mirrors = join(world.stage.operator.stateDirectory, 'mirrors');
  const found: string[] = [];
  for (const mirror of await entriesOf(mirrors)) {
    const kept = new Set(await entriesOf(join(mirrors, mirror, 'refs', 'berth')));
    for (const sha of world.strangers) if (kept.has(sha)) found.push(`a stranger’s commit ${sha} is in ${mirror}`);
  }
  return found;
}

/** What is wrong with one pull request. */
export async function realPullProblems(
  world: RealWorld,
  inventory: RealInventory,
  pull: FakePullRequest,
): Promise<string[]> {
  const comment = pull.comments[0]?.body ?? '';
  const record = inventory.previews.get(`${pull.base.id}/pull/${pull.number}`);
  const problems = pull.comments.length > 1 ? [`${pull.comments.length} comments`] : [];
  const says = `the comment says "${comment.slice(0, 100)}"`;
  const policy = { repositories: world.allowed };
  if (pull.state.state === 'closed' || !isAllowedRepository(policy, pull.base.fullName as RepositoryName)) {
    if (record !== undefined) problems.push('a record is left');
    if (comment !== '' && !comment.includes('removed')) problems.push(`${says} of a preview that must not exist`);
    return problems;
  }
  if (record === undefined) return [...problems, 'it is open, and there is no record'];
  const { head, author, draft } = pull.state;
  if (head.repository !== pull.base || author.login === 'dependabot[bot]' || draft) {
    if (record.instances.length > 0 || record.database !== null)
      problems.push('something of it exists though it may not run');
    if (!comment.includes('not run')) problems.push(`${says}, not that it is not run`);
    return problems;
  }
  const app = world.apps.get(head.sha) ?? 'good';
  const failures = FAILURES_OF[app];
  const status = pull.statuses.findLast(({ sha }) => sha === head.sha)?.state ?? 'missing';
  const wanted = failures ?? ['is live'];
  if (!comment.includes(head.sha) || !wanted.some((text) => comment.includes(text)))
    problems.push(`${says}, not ${wanted.join(' or ')} for ${head.sha}`);
  if (status !== (failures === undefined ? 'success' : 'failure')) problems.push(`the status is ${status}`);
  const running = record.instances.filter(({ name }) => inventory.running.has(name));
  const answering = record.instances.filter((each) => each.answering);
  if (JSON.stringify(running) !== JSON.stringify(answering))
    problems.push(`${running.length} instances run, ${answering.length} should`);
  if ([...inventory.running].some(([name, count]) => count > 1 && running.some((each) => each.name === name)))
    problems.push('an instance runs twice');
  if (record.instances.length > 3) problems.push(`${record.instances.length} instances are kept`);
  return failures === undefined
    ? [...problems, ...(await liveProblems(world, inventory, { pull, record, app }))]
    : problems;
}

async function liveProblems(
  world: RealWorld,
  inventory: RealInventory,
  { pull, record, app }: { pull: FakePullRequest; record: FoundPreview; app: AppKind },
): Promise<string[]> {
  const { slug } = record;
  if (slug === null) return ['it has no name'];
  const problems: string[] = [];
  for (const label of [slug, ...(app === 'with-extra-host' ? [`admin-${slug}`] : [])]) {
    const body = await world.stage.askApp(label).catch((error: unknown) => String(error));
    if (body !== pull.head) problems.push(`${label} answers ${body.slice(0, 80)}, not the head`);
  }
  if (app === 'with-database' && (record.database === null || !inventory.databases.has(record.database)))
    problems.push('its database is missing');
  return problems;
}

async function entriesOf(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(() => [])).filter((name) => !name.startsWith('.'));
}
