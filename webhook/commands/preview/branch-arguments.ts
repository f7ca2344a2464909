import { OperatorError } from '../../core/errors.ts';
import { isBranchName, parseRepositoryName } from '../../core/pull-request.ts';

/** `<owner/repo> <branch>` as typed. Throws BAD_REQUEST naming the word that cannot be one. */
export function branchArguments(args: readonly string[], command: string): { repository: string; branch: string } {
  const [repository = '', branch = ''] = args;
  return checked(repository, branch, command);
}

/** `<owner/repo> [branch]`; null is the default branch. */
export function buildArguments(args: readonly string[]): { repository: string; branch: string | null } {
  const [repository = '', branch = null] = args;
  return checked(repository, branch, 'build');
}

function checked<Branch extends string | null>(repository: string, branch: Branch, command: string) {
  const hint = `See: preview help ${command}`;
  if (parseRepositoryName(repository) === null)
    throw new OperatorError('BAD_REQUEST', `'${repository.slice(0, 64)}' is not a repository: write owner/name.`, {
      hint,
    });
  if (branch !== null && !isBranchName(branch))
    throw new OperatorError('BAD_REQUEST', `'${branch.slice(0, 64)}' cannot be the name of a branch.`, { hint });
  return { repository, branch };
}
