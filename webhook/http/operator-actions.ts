/** What operators can ask for. Each stores the wish and a job in one transaction and answers at once; the reconciler does the work. */
import { OperatorError } from '../core/errors.ts';
import { parseSlug } from '../core/names.ts';
import { planFor, rollbackInstance } from '../core/plan.ts';
import { isAllowedRepository } from '../core/policy.ts';
import { phaseOf, seenHead, type Hold, type PreviewRecord } from '../core/preview.ts';
import { previewDetailView, type AskedView, type PreviewDetailView } from '../core/preview-view.ts';
import { type RepositoryName, isBranchName, parseRepositoryName, type PreviewKey } from '../core/pull-request.ts';
import type { Operator } from '../ports.ts';
import { lookAtPreview } from '../reconcile/observe.ts';

type Acting = Pick<Operator, 'policy' | 'clock' | 'pullRequests' | 'store' | 'runtime' | 'routes' | 'databases'>;

/** The record of a name that somebody typed. Throws BAD_REQUEST for what cannot be a name, PREVIEW_NOT_FOUND. */
export async function previewNamed(op: Pick<Operator, 'store'>, text: string): Promise<PreviewRecord> {
  const slug = parseSlug(text);
  if (slug === null) {
    const hint = 'A name has lower-case letters, digits and single hyphens; `preview list` shows those that there are.';
    throw new OperatorError('BAD_REQUEST', `${quoted(text)} cannot be the name of a preview.`, { hint });
  }
  const record = await op.store.loadBySlug(slug);
  if (record === null) throw new OperatorError('PREVIEW_NOT_FOUND', `Preview '${slug}' not found.`);
  return record;
}

/** What a branch's preview follows (null: the default one): its open pull request, or else the branch itself. Throws BAD_REQUEST, REPOSITORY_NOT_ALLOWED, NO_SUCH_BRANCH. */
export async function followedBy(
  op: Pick<Operator, 'policy' | 'pullRequests'>,
  asked: { repository: string; branch: string | null },
  signal: AbortSignal,
): Promise<{ key: PreviewKey; repository: RepositoryName }> {
  const repository = parseRepositoryName(asked.repository);
  if (repository === null)
    throw new OperatorError('BAD_REQUEST', `${quoted(asked.repository)} is not a repository: write owner/name.`);
  if (asked.branch !== null && !isBranchName(asked.branch))
    throw new OperatorError('BAD_REQUEST', `${quoted(asked.branch)} cannot be the name of a branch.`);
  if (!isAllowedRepository(op.policy, repository))
    throw new OperatorError('REPOSITORY_NOT_ALLOWED', `${repository} is not on the allow-list.`);
  const key = await op.pullRequests.find(repository, asked.branch, signal);
  if (key === null) throw new OperatorError('NO_SUCH_BRANCH', `${repository} has no branch '${asked.branch ?? ''}'.`);
  return { key, repository };
}

/** A preview of a branch: of its open pull request, or else of the branch itself. */
export async function createPreview(
  op: Acting,
  asked: { repository: string; branch: string },
  signal: AbortSignal,
): Promise<AskedView> {
  const { key, repository } = await followedBy(op, asked, signal);
  const before = await op.store.load(key);
  if (before !== null && before.slug !== null && before.hold?.kind !== 'destroyed') {
    const hint = `'preview update ${before.slug}' brings it to the newest commit, 'preview destroy ${before.slug}' removes it.`;
    throw new OperatorError('PREVIEW_EXISTS', `Preview '${before.slug}' already exists.`, { hint });
  }
  await op.store.request(key, repository, { retry: true, hold: null });
  return askedOf(op, await reloaded(op, key), signal);
}

/** The newest commit, also after `rollback` or `destroy`; what failed is tried again. Says so when there is nothing to do. */
export async function updatePreview(op: Acting, slug: string, signal: AbortSignal): Promise<AskedView> {
  const record = await previewNamed(op, slug);
  if (record.hold === null && phaseOf(record).name === 'live') {
    const look = await lookAtPreview(op, record, signal);
    const plan = planFor(look.desired, record, look.world, op.clock.now());
    const isAsWanted = plan.stages.length === 0 && plan.settleMs === null;
    if (look.problem === null && look.desired.kind === 'present' && isAsWanted)
      return { isDone: true, preview: detailOf(op, record), wantedCommit: look.desired.revision.sha };
  }
  await op.store.request(record.key, record.repository, { retry: true, hold: null });
  return askedOf(op, await reloaded(op, record.key), signal);
}

/** The instance that was replaced last is put back behind the URL, until the pull request moves on. Throws NOTHING_TO_ROLL_BACK. */
export async function rollbackPreview(op: Acting, slug: string): Promise<AskedView> {
  const record = await previewNamed(op, slug);
  const previous = rollbackInstance(record);
  const whileHead = seenHead(record);
  if (previous === null || whileHead === null)
    throw new OperatorError('NOTHING_TO_ROLL_BACK', `Preview '${slug}' has no earlier instance.`);
  await op.store.request(record.key, record.repository, {
    retry: true,
    hold: { kind: 'pinned', revision: previous.revision, whileHead },
  });
  return { isDone: false, preview: detailOf(op, await reloaded(op, record.key)), wantedCommit: previous.revision.sha };
}

/** Nothing of it is left; a push to an open pull request brings it back. */
export async function destroyPreview(op: Acting, slug: string): Promise<AskedView> {
  const record = await previewNamed(op, slug);
  const whileHead = seenHead(record);
  // Where it may not exist anyway it is on its way out: a word without an end would still stand when the pull request is opened again.
  const hold: { hold?: Hold } = whileHead === null ? {} : { hold: { kind: 'destroyed', whileHead } };
  await op.store.request(record.key, record.repository, hold);
  // As it is after the request: whoever waits would take the verdict on what was asked for before as this one's. It may be gone already.
  const asked = (await op.store.load(record.key)) ?? record;
  return { isDone: false, preview: detailOf(op, asked), wantedCommit: null };
}

export function detailOf(op: Pick<Operator, 'routes'>, record: PreviewRecord): PreviewDetailView {
  return previewDetailView(record, (label) => op.routes.addressOf(label).url);
}

async function reloaded(op: Pick<Operator, 'store'>, key: PreviewKey): Promise<PreviewRecord> {
  const record = await op.store.load(key);
  if (record === null) throw new OperatorError('PREVIEW_NOT_FOUND', 'The preview was removed at the same moment.');
  return record;
}

/** What the wish comes to, read from GitHub so that whoever waits knows for which commit. The wish is stored already: when GitHub is away, it stays. */
async function askedOf(op: Acting, record: PreviewRecord, signal: AbortSignal): Promise<AskedView> {
  const look = await lookAtPreview(op, record, signal);
  if (look.problem !== null) throw look.problem;
  const wantedCommit = 'revision' in look.desired ? look.desired.revision.sha : null;
  return { isDone: false, preview: detailOf(op, record), wantedCommit };
}

/** Text of others in a message: one line, bounded, nothing that a terminal would obey. */
export function quoted(text: string): string {
  const shown = text.slice(0, 64).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
  return `'${shown}${text.length > 64 ? '…' : ''}'`;
}
