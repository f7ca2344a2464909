import { OperatorError } from '../../core/errors.ts';
import { isBranchName, parseRepositoryName } from '../../core/pull-request.ts';

/** `<owner/repo> <branch>` as typed. Throws BAD_REQUEST naming the word that cannot be one. */
export function branchArguments(args: readonly string[], command: string): { repository: string; branch: string } {
  const [repository = '', branch = ''] = args;
  const hint = `See: preview help ${command}`;
  if (parseRepositoryName(repository) === null)
    throw new OperatorError('BAD_REQUEST', `'${repository.slice(0, 64)}' is not a repository: write owner/name.`, {
      hint,
    });
  if (!isBranchName(branch))
    throw new OperatorError('BAD_REQUEST', `'${branch.slice(0, 64)}' cannot be the name of a branch.`, { hint });
  return { repository, branch };
}
