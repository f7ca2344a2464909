/** Repositories in GitHub's API: how they are named there, and which of an owner there are for us (`owner/*` in the allow-list). */
import { z } from 'zod';
import { ownerOf, parseRepositoryName, shortNameOf, type RepositoryName } from '../../core/pull-request.ts';
import type { Octokit } from '@octokit/rest';
import type { CallOptions, GitHubClient } from './github-client.ts';

/** GitHub's largest page. */
const PAGE_SIZE = 100;
/** 1,000 repositories. Beyond, deliveries alone have to tell us of a pull request in a repository that we have not met. */
const PAGES_MAX = 10;

export const repositoryName = z.string().transform((text, context) => parseRepositoryName(text) ?? notThat(context));

/** For a transformation that refuses its input. */
export function notThat(context: z.RefinementCtx): never {
  context.addIssue({ code: 'custom', message: 'is not what it should be' });
  return z.NEVER;
}

const repositories = z.array(
  z.object({
    full_name: repositoryName,
    archived: z.boolean().default(false),
    // Issues and pull requests together; GitHub has no number for pull requests alone.
    open_issues_count: z.int().nonnegative().default(1),
  }),
);
const installationRepositories = z.object({ repositories }).transform((answer) => answer.repositories);

/**
 * What a token's user is a member or collaborator of, or what an App's installation includes; of that, what belongs to the owner and has
 * something open. Not kept: a list of a hundred costs one request, and spares one for each repository in it that has nothing open.
 */
export async function listRepositories(
  client: GitHubClient,
  owner: string,
  signal: AbortSignal,
): Promise<RepositoryName[]> {
  const names = new Set<RepositoryName>();
  for (let page = 1; page <= PAGES_MAX; page += 1) {
    const listed = await client.call({
      doing: `listing the repositories of ${owner}`,
      kind: 'read',
      signal,
      ...(client.identity === 'app'
        ? { answer: installationRepositories, send: (octokit, options) => ofInstallation(octokit, page, options) }
        : { answer: repositories, send: (octokit, options) => ofUser(octokit, page, options) }),
    });
    for (const { full_name, archived, open_issues_count } of listed) {
      if (archived || open_issues_count === 0) continue;
      if (ownerOf(full_name).toLowerCase() === owner.toLowerCase()) names.add(full_name);
    }
    if (listed.length < PAGE_SIZE) break;
  }
  return [...names];
}

function ofInstallation(octokit: Octokit, page: number, options: CallOptions) {
  return octokit.request('GET /installation/repositories', { per_page: PAGE_SIZE, page, ...options });
}

function ofUser(octokit: Octokit, page: number, options: CallOptions) {
  return octokit.request('GET /user/repos', { sort: 'pushed', per_page: PAGE_SIZE, page, ...options });
}

/** A repository in the path of a request. */
export function pathOf(repository: RepositoryName): { owner: string; repo: string } {
  return { owner: ownerOf(repository), repo: shortNameOf(repository) };
}
