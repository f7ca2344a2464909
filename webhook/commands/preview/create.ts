import { OperatorError } from '../../core/errors.ts';
import type { AskedView } from '../../core/preview-view.ts';
import { isBranchName, parseRepositoryName } from '../../core/pull-request.ts';
import type { CommandRunner } from './run.ts';
import { untilShown } from './wait.ts';

/** `preview create <owner/repo> <branch>`. */
export const create: CommandRunner = async (context) => {
  const [repository = '', branch = ''] = context.args;
  const hint = 'See: preview help create';
  if (parseRepositoryName(repository) === null)
    throw new OperatorError('BAD_REQUEST', `'${repository.slice(0, 64)}' is not a repository: write owner/name.`, {
      hint,
    });
  if (!isBranchName(branch))
    throw new OperatorError('BAD_REQUEST', `'${branch.slice(0, 64)}' cannot be the name of a branch.`, { hint });
  const asked = await context.api.ask<AskedView>('POST', '/previews', { repository, branch });
  return untilShown(context, asked);
};
