/** Compares the world with the model: what GitHub and the allow-list say must be all that there is. */
import { extraHostLabel, hostLabelOf } from '../../webhook/core/names.ts';
import { isAllowedRepository, type Policy } from '../../webhook/core/policy.ts';
import { phaseOf, templatesOf, type PreviewRecord } from '../../webhook/core/preview.ts';
import { keyText, type PreviewKey, type Sha } from '../../webhook/core/pull-request.ts';
import type { AppKind, SimulatedPull, SimulatedRepository } from './simulated-github.ts';
import type { World } from './world.ts';

const FAILURE_OF: Readonly<Partial<Record<AppKind, string>>> = {
  'bad-manifest': 'MANIFEST_INVALID',
  'no-manifest': 'MANIFEST_MISSING',
  'setup-fails': 'SETUP_FAILED',
  unhealthy: 'UNHEALTHY',
};

/** Every difference, as a sentence; empty when the world is as it should be. */
export function divergencesOf(world: World): string[] {
  const problems: string[] = [];
  const policy = world.policy();
  for (const repository of world.github.repositories.values()) {
    for (const pull of repository.pulls.values()) {
      for (const problem of pullProblems(world, policy, repository, pull))
        problems.push(`${repository.id}#${pull.number}: ${problem}`);
    }
  }
  return [...problems, ...leftovers(world)];
}

function pullProblems(world: World, policy: Policy, repository: SimulatedRepository, pull: SimulatedPull): string[] {
  const key: PreviewKey = { repositoryId: repository.id, subject: { kind: 'pull', number: pull.number } };
  const record = world.state.previews.get(keyText(key)) ?? null;
  const problems: string[] = [];
  if (pull.comments.length > 1) problems.push(`${pull.comments.length} comments`);
  const comment = pull.comments[0]?.body ?? '';
  if (pull.state === 'closed' || !isAllowedRepository(policy, repository.name)) {
    if (record !== null) problems.push(`a record is left (${phaseOf(record).name})`);
    if (comment !== '' && !comment.includes('removed'))
      problems.push(`the comment says "${comment.slice(0, 60)}" of a preview that must not exist`);
    if (pull.lastStatus?.isUnderWay === true)
      problems.push(`a status says "${pull.lastStatus.description}" for ever, of a preview that must not exist`);
    return problems;
  }
  if (record === null) return [...problems, 'it is open, and there is no record'];
  problems.push(...world.words.problemsOf(key, record.hold, pull.sha));
  if (record.hold?.kind === 'destroyed') return [...problems, ...destroyedProblems(record, pull)];
  if (pull.headRepositoryId !== repository.id || pull.author !== 'member' || pull.draft) {
    if (record.instances.length > 0 || record.database !== null)
      problems.push('something of it exists though it may not run');
    if (!comment.includes('not run'))
      problems.push(`the comment does not say that it is not run, but "${comment.slice(0, 60)}"`);
    return problems;
  }
  const shown = shownCommit(record, pull);
  const failure = FAILURE_OF[world.github.apps.get(shown) ?? 'good'];
  return [
    ...problems,
    ...(failure === undefined
      ? liveProblems(world, record, pull, comment)
      : failedProblems(world, { record, shown, code: failure, comment })),
  ];
}

/** The commit that is to be shown of an open pull request: the head, or what was rolled back to. */
function shownCommit({ hold }: PreviewRecord, pull: SimulatedPull): Sha {
  return hold?.kind === 'pinned' ? hold.revision.sha : pull.sha;
}

function destroyedProblems(record: PreviewRecord, pull: SimulatedPull): string[] {
  const problems: string[] = [];
  const comment = pull.comments[0]?.body ?? '';
  if (record.instances.length > 0 || record.database !== null)
    problems.push('something of it exists though it is destroyed');
  if (!comment.includes('destroyed by an operator'))
    problems.push(`destroyed, but the comment says "${comment.slice(0, 80)}"`);
  const status = pull.statuses.get(pull.sha) ?? 'missing';
  if (status !== 'pending') problems.push(`destroyed, but the status of the head is ${status}`);
  return problems;
}

function liveProblems(world: World, record: PreviewRecord, pull: SimulatedPull, comment: string): string[] {
  const problems: string[] = [];
  const shown = shownCommit(record, pull);
  const app = world.github.apps.get(shown);
  const phase = phaseOf(record);
  if (phase.name !== 'live' || phase.revision.sha !== shown)
    problems.push(`it is ${phase.name}, not live at ${shown === pull.sha ? 'the head' : 'what was rolled back to'}`);
  const running = record.instances.filter((instance) => world.host.instances.get(instance.name)?.running === true);
  if (running.length !== 1) problems.push(`${running.length} instances run`);
  const answering = record.instances.find((instance) => instance.name === record.answering);
  const placed = answering === undefined ? null : (world.host.instances.get(answering.name)?.placed ?? null);
  if (placed !== shown) problems.push('what answers is not the commit that is to be shown');
  const route = record.slug === null ? undefined : world.host.routes.get(record.slug);
  if (route?.answering?.instance !== record.answering) problems.push('the route does not point at what answers');
  const slug = record.slug;
  const labels =
    slug === null ? [] : [hostLabelOf(slug), ...(app === 'with-extra-host' ? [extraHostLabel('admin', slug)] : [])];
  if (JSON.stringify(route?.hosts.map((host) => host.label)) !== JSON.stringify(labels))
    problems.push('the route has other hosts than the manifest');
  if (
    app === 'with-database' &&
    (record.database === null || world.host.databases.get(record.database.name) !== record.database.password)
  ) {
    problems.push('its database is missing');
  }
  if (record.instances.length > 2) problems.push(`${record.instances.length} instances are kept`);
  if (!comment.includes('is live') || !comment.includes(shown))
    problems.push(`the comment says "${comment.slice(0, 80)}"`);
  const isRolledBack = shown !== pull.sha;
  if (isRolledBack !== comment.includes('(rolled back)')) problems.push(`the comment says "${comment.slice(0, 80)}"`);
  const status = pull.statuses.get(pull.sha) ?? 'missing';
  if (status !== (isRolledBack ? 'pending' : 'success')) problems.push(`the status of the head is ${status}`);
  return problems;
}

interface ShouldHaveFailed {
  readonly record: PreviewRecord;
  readonly shown: Sha;
  readonly code: string;
  readonly comment: string;
}

function failedProblems(world: World, { record, shown, code, comment }: ShouldHaveFailed): string[] {
  const problems: string[] = [];
  const phase = phaseOf(record);
  if (phase.name !== 'failed' || phase.failure.code !== code || phase.failure.sha !== shown) {
    problems.push(
      `it should have failed with ${code} at the head, but is ${phase.name}${'failure' in phase ? ` ${phase.failure.code}` : ''}`,
    );
  }
  const running = record.instances
    .filter((instance) => world.host.instances.get(instance.name)?.running === true)
    .map((each) => each.name);
  const expected = record.answering === null ? [] : [record.answering];
  if (JSON.stringify(running) !== JSON.stringify(expected))
    problems.push(`${running.length} instances run beside the failed head`);
  if (!comment.includes(code)) problems.push(`the comment does not name ${code}, but says "${comment.slice(0, 80)}"`);
  return problems;
}

/** Things that belong to nobody, and broken promises about strangers and acknowledged deliveries. */
function leftovers(world: World): string[] {
  const problems: string[] = [];
  const records = [...world.state.previews.values()];
  const instances = new Set(records.flatMap((record) => record.instances.map((instance) => instance.name)));
  for (const name of world.host.instances.keys())
    if (!instances.has(name)) problems.push(`instance ${name} belongs to nobody`);
  for (const name of instances)
    if (!world.host.instances.has(name) && recordOf(records, name)?.answering === name)
      problems.push(`instance ${name} is recorded but not there`);
  const slugs = new Set(records.map((record) => record.slug));
  for (const slug of world.host.routes.keys()) if (!slugs.has(slug)) problems.push(`route ${slug} belongs to nobody`);
  const databases = new Set(records.flatMap((record) => record.database?.name ?? []));
  for (const name of world.host.databases.keys())
    if (!databases.has(name)) problems.push(`database ${name} belongs to nobody`);
  const templates = new Set(records.flatMap(templatesOf));
  // Nobody else removes them: a template is there for the previews to come.
  for (const name of world.host.templates)
    if (world.sweeps && !templates.has(name)) problems.push(`template ${name} belongs to nobody`);
  const keys = new Set(records.map((record) => keyText(record.key)));
  for (const [label, owner] of world.state.hosts)
    if (!keys.has(owner)) problems.push(`host name ${label} belongs to nobody`);
  const slots = records.flatMap((record) => record.instances.map((instance) => instance.slot));
  if (new Set(slots).size !== slots.length) problems.push('two instances have one slot');
  for (const sha of world.strangersCommits)
    if (world.host.touched.has(sha)) problems.push(`a stranger's commit ${sha.slice(0, 8)} was fetched or run`);
  for (const id of world.acknowledged)
    if (!world.state.deliveries.has(id)) problems.push(`${id} was acknowledged and lost`);
  if (world.state.locks.size > 0) problems.push(`${world.state.locks.size} locks are held`);
  return problems;
}

function recordOf(records: readonly PreviewRecord[], name: string): PreviewRecord | undefined {
  return records.find((record) => record.instances.some((instance) => instance.name === name));
}
