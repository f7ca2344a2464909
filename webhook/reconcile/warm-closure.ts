/** Builds the system that a branch asks for before anybody wants to see it, so that its preview comes up without a build. */
import { OperatorError } from '../core/errors.ts';
import { desiredFrom } from '../core/policy.ts';
import type { PreviewKey, RepositoryName, Revision } from '../core/pull-request.ts';
import { refusalText } from '../core/report.ts';
import type { Operator } from '../ports.ts';
import { manifestOf } from './bring-up.ts';

/** What was built, and of which commit. */
export interface WarmClosure {
  readonly revision: Revision;
  /** Null where the runtime needs none. */
  readonly system: string | null;
  /** Whether it had been built before. */
  readonly isCached: boolean;
}

/**
 * Only for code that may run here: what a stranger's commit describes is not built either. Throws REPOSITORY_NOT_ALLOWED, NO_SUCH_BRANCH, and what a
 * bring-up throws.
 */
export async function warmClosure(
  op: Pick<Operator, 'policy' | 'pullRequests' | 'sources' | 'runtime'>,
  asked: { key: PreviewKey; repository: RepositoryName },
  signal: AbortSignal,
): Promise<WarmClosure> {
  const observed = await op.pullRequests.observe(asked.key, asked.repository, signal);
  const desired = desiredFrom(op.policy, { ...asked, hold: null }, observed);
  if (desired.kind === 'refused')
    throw new OperatorError('REPOSITORY_NOT_ALLOWED', `Nothing is built: ${refusalText(desired.reason)}`);
  if (desired.kind !== 'present')
    throw new OperatorError('NO_SUCH_BRANCH', `${asked.repository} has nothing open of that name.`);
  const { repository, revision } = desired;
  const source = { key: asked.key, repository, revision };
  await op.sources.ensure(source, signal);
  const { manifest } = await manifestOf(op, source, signal);
  const built = await op.runtime.buildSystem(manifest, signal);
  return { revision, system: built?.path ?? null, isCached: built?.isCached ?? false };
}
