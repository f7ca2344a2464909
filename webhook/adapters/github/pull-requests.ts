import { z } from 'zod';
import { OperatorError } from '../../core/errors.ts';
import {
  keyText,
  ownerOf,
  parseSha,
  PULL_NUMBER_MAX,
  type ObservedSubject,
  type OpenPullRequest,
  type PreviewKey,
  type RepositoryName,
} from '../../core/pull-request.ts';
import type { PullRequests } from '../../ports.ts';
import type { GitHubClient } from './github-client.ts';
import { orNullWhenMissing } from './github-errors.ts';
import { listRepositories, notThat, pathOf, repositoryName } from './repositories.ts';

/** GitHub's largest page. */
const PAGE_SIZE = 100;

/** 5,000 open pull requests; a list that does not end before is not one. */
const PAGES_MAX = 50;

const id = z.int().positive();
const number = z.int().positive().max(PULL_NUMBER_MAX);

const sha = z.string().transform((text, context) => parseSha(text) ?? notThat(context));

const pullRequestAnswer = z.object({
  number,
  state: z.enum(['open', 'closed']),
  draft: z.boolean().optional(),
  // Null when the author's account was deleted.
  user: z.object({ login: z.string() }).nullable(),
  head: z.object({ sha, ref: z.string().min(1), repo: z.object({ id }).nullable() }),
  base: z.object({ repo: z.object({ id, full_name: repositoryName }) }),
});

const listedPullRequest = pullRequestAnswer.pick({ number: true, head: true, base: true });
const repositoryAnswer = z.object({ id, full_name: repositoryName, default_branch: z.string().min(1) });
const branchAnswer = z.object({ name: z.string(), commit: z.object({ sha }) });

/** Pull requests and branches as GitHub's REST API tells them. */
export function createPullRequests(client: GitHubClient): PullRequests {
  return {
    observe: (key, repository, signal) =>
      key.subject.kind === 'pull'
        ? observePullRequest(client, { key, number: key.subject.number }, repository, signal)
        : observeBranch(client, { key, branch: key.subject.name }, repository, signal),
    listOpen: (repository, signal) => listOpen(client, repository, signal),
    find: (repository, branch, signal) => find(client, repository, branch, signal),
    listRepositories: (owner, signal) => listRepositories(client, owner, signal),
  };
}

async function observePullRequest(
  client: GitHubClient,
  wanted: { key: PreviewKey; number: number },
  repository: RepositoryName,
  signal: AbortSignal,
): Promise<ObservedSubject> {
  const found = await orNullWhenMissing(
    client.call({
      doing: `reading ${repository}#${wanted.number}`,
      kind: 'read',
      signal,
      answer: pullRequestAnswer,
      send: (octokit, options) =>
        octokit.request('GET /repos/{owner}/{repo}/pulls/{pull_number}', {
          ...pathOf(repository),
          pull_number: wanted.number,
          ...options,
        }),
    }),
  );
  // GitHub redirects an old name of the repository, until another one takes that name.
  if (found === null || found.base.repo.id !== wanted.key.repositoryId || found.number !== wanted.number) {
    return { state: 'missing' };
  }
  const presentName = found.base.repo.full_name;
  if (found.state === 'closed') return { state: 'closed', repository: presentName };
  return {
    state: 'open',
    repository: presentName,
    revision: { sha: found.head.sha, ref: found.head.ref },
    headRepositoryId: found.head.repo?.id ?? null,
    author: (found.user?.login ?? 'ghost').toLowerCase(),
    draft: found.draft ?? false,
  };
}

/**
 * A branch that cannot be read is missing, never closed: a token that lost its access to the contents gets the same 404.
 */
async function observeBranch(
  client: GitHubClient,
  wanted: { key: PreviewKey; branch: string },
  repository: RepositoryName,
  signal: AbortSignal,
): Promise<ObservedSubject> {
  const present = await readRepository(client, repository, signal);
  if (present === null || present.id !== wanted.key.repositoryId) return { state: 'missing' };
  const branch = await readBranch(client, present.full_name, wanted.branch, signal);
  if (branch === null) return { state: 'missing' };
  return {
    state: 'open',
    repository: present.full_name,
    revision: { sha: branch.commit.sha, ref: branch.name },
    headRepositoryId: present.id,
    author: '',
    draft: false,
  };
}

/** Pages are counted by us: what a Link header says could go round in circles. */
async function listOpen(
  client: GitHubClient,
  repository: RepositoryName,
  signal: AbortSignal,
): Promise<OpenPullRequest[]> {
  const open = new Map<string, OpenPullRequest>();
  for (let page = 1; page <= PAGES_MAX; page += 1) {
    const listed = await client.call({
      doing: `listing the open pull requests of ${repository}`,
      kind: 'read',
      signal,
      answer: z.array(listedPullRequest),
      send: (octokit, options) =>
        octokit.request('GET /repos/{owner}/{repo}/pulls', {
          ...pathOf(repository),
          state: 'open',
          per_page: PAGE_SIZE,
          page,
          ...options,
        }),
    });
    const before = open.size;
    for (const { number: pullNumber, base } of listed) {
      const key: PreviewKey = { repositoryId: base.repo.id, subject: { kind: 'pull', number: pullNumber } };
      open.set(keyText(key), { key, repository: base.repo.full_name });
    }
    if (listed.length < PAGE_SIZE) return [...open.values()];
    if (open.size === before) break;
  }
  throw new OperatorError(
    'GITHUB_UNREACHABLE',
    `GitHub’s list of the open pull requests of ${repository} does not end.`,
  );
}

async function find(
  client: GitHubClient,
  repository: RepositoryName,
  asked: string | null,
  signal: AbortSignal,
): Promise<PreviewKey | null> {
  const present = await readRepository(client, repository, signal);
  if (present === null) {
    throw new OperatorError('SUBJECT_NOT_FOUND', `GitHub knows no repository ${repository}, or hides it from us.`);
  }
  const name = present.full_name;
  const branch = asked ?? present.default_branch;
  const pulls = await client.call({
    doing: `looking for the pull request of a branch of ${name}`,
    kind: 'read',
    signal,
    answer: z.array(listedPullRequest),
    send: (octokit, options) =>
      octokit.request('GET /repos/{owner}/{repo}/pulls', {
        ...pathOf(name),
        state: 'open',
        head: `${ownerOf(name)}:${branch}`,
        per_page: PAGE_SIZE,
        ...options,
      }),
  });
  const pull = pulls.find((each) => each.head.ref === branch && each.head.repo?.id === present.id);
  if (pull !== undefined) return { repositoryId: present.id, subject: { kind: 'pull', number: pull.number } };
  const found = await readBranch(client, name, branch, signal);
  return found === null ? null : { repositoryId: present.id, subject: { kind: 'branch', name: branch } };
}

function readRepository(client: GitHubClient, repository: RepositoryName, signal: AbortSignal) {
  return orNullWhenMissing(
    client.call({
      doing: `reading ${repository}`,
      kind: 'read',
      signal,
      answer: repositoryAnswer,
      send: (octokit, options) => octokit.request('GET /repos/{owner}/{repo}', { ...pathOf(repository), ...options }),
    }),
  );
}

function readBranch(client: GitHubClient, repository: RepositoryName, branch: string, signal: AbortSignal) {
  return orNullWhenMissing(
    client.call({
      doing: `reading a branch of ${repository}`,
      kind: 'read',
      signal,
      answer: branchAnswer,
      send: (octokit, options) =>
        octokit.request('GET /repos/{owner}/{repo}/branches/{branch}', { ...pathOf(repository), branch, ...options }),
    }),
  );
}
