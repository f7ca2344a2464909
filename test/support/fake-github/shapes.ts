/**
 * GitHub's JSON from our state: as complete as its description demands (openapi-check.ts holds every answer against it), with what we do not model taken
 * from GitHub's own example payloads.
 */
import { createRequire } from 'node:module';
import type { FakePullRequest } from './pull-request.ts';
import type { FakeComment, FakeRepository, FakeUser } from './repository.ts';

export type Json = Record<string, unknown>;

const API = 'https://api.github.com';
const WEB = 'https://github.com';
const EXAMPLE_REPOSITORY = 'Codertocat/Hello-World';

interface Example {
  readonly name: string;
  readonly examples: readonly { readonly action?: string; readonly pull_request?: Json; readonly repository?: Json }[];
}

let templates: { pullRequest: string; repository: string } | null = null;

/** GitHub's own example of a pull request and of a repository, as text in which the name can be replaced. */
function examples(): { pullRequest: string; repository: string } {
  if (templates !== null) return templates;
  const all = createRequire(import.meta.url)('@octokit/webhooks-examples') as Example[];
  const opened = all.find(({ name }) => name === 'pull_request')?.examples.find(({ action }) => action === 'opened');
  if (opened === undefined) throw new Error('@octokit/webhooks-examples has no pull_request opened');
  templates = { pullRequest: JSON.stringify(opened.pull_request), repository: JSON.stringify(opened.repository) };
  return templates;
}

function exampleFor(template: string, fullName: string): Json {
  return JSON.parse(template.replaceAll(EXAMPLE_REPOSITORY, fullName)) as Json;
}

/** Whole seconds, as GitHub writes times. */
export function timeText(at: Date): string {
  return `${at.toISOString().slice(0, 19)}Z`;
}

export function userJson(user: FakeUser): Json {
  const url = `${API}/users/${encodeURIComponent(user.login)}`;
  return {
    login: user.login,
    id: user.id,
    node_id: nodeId('User', user.id),
    avatar_url: `https://avatars.githubusercontent.com/u/${user.id}?v=4`,
    gravatar_id: '',
    url,
    html_url: `${WEB}/${encodeURIComponent(user.login)}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: user.type,
    site_admin: false,
  };
}

export function privateUserJson(user: FakeUser): Json {
  const none = { bio: null, blog: null, company: null, email: null, hireable: null, location: null };
  const counts = { followers: 0, following: 0, public_gists: 0, public_repos: 0, collaborators: 0, disk_usage: 0 };
  const more = { owned_private_repos: 0, private_gists: 0, total_private_repos: 0, two_factor_authentication: true };
  const times = { created_at: '2020-01-01T00:00:00Z', updated_at: '2020-01-01T00:00:00Z' };
  return { ...userJson(user), name: user.login, ...none, ...counts, ...more, ...times, user_view_type: 'private' };
}

/** As in webhook payloads and pull requests. */
export function repositoryJson(repository: FakeRepository): Json {
  return {
    ...exampleFor(examples().repository, repository.fullName),
    id: repository.id,
    node_id: nodeId('Repository', repository.id),
    name: repository.name,
    full_name: repository.fullName,
    private: repository.private,
    visibility: repository.private ? 'private' : 'public',
    owner: userJson(repository.owner),
    description: null,
    fork: repository.parent !== null,
    default_branch: repository.defaultBranch,
    open_issues_count: repository.pulls.filter(({ state }) => state.state === 'open').length,
    clone_url: repository.cloneUrl,
    created_at: timeText(repository.createdAt),
    updated_at: timeText(repository.createdAt),
    pushed_at: timeText(repository.createdAt),
    has_discussions: false,
    archived: false,
    disabled: false,
    topics: [],
    allow_forking: true,
    is_template: false,
    web_commit_signoff_required: false,
  };
}

/** As `GET /repos/{owner}/{repo}` gives it. */
export function fullRepositoryJson(repository: FakeRepository): Json {
  return { ...repositoryJson(repository), network_count: 0, subscribers_count: 0 };
}

/** `asSeen` is the state to show: the present one, or an older one for a stale read. */
export function pullRequestJson(pull: FakePullRequest, asSeen = pull.state): Json {
  const { base } = pull;
  const user = userJson(asSeen.author);
  const example = exampleFor(examples().pullRequest, base.fullName);
  const links = JSON.parse(JSON.stringify(example['_links']).replaceAll('/2', `/${pull.number}`)) as Json;
  const numbered = JSON.parse(
    JSON.stringify(example).replaceAll(/\/(pulls|pull|issues)\/2\b/g, `/$1/${pull.number}`),
  ) as Json;
  const { head } = asSeen;
  return {
    ...numbered,
    id: pull.id,
    node_id: nodeId('PullRequest', pull.id),
    number: pull.number,
    state: asSeen.state,
    locked: asSeen.locked,
    title: asSeen.title,
    body: asSeen.body,
    user,
    assignee: null,
    draft: asSeen.draft,
    created_at: timeText(pull.createdAt),
    updated_at: timeText(asSeen.updatedAt),
    closed_at: asSeen.closedAt === null ? null : timeText(asSeen.closedAt),
    merged_at: asSeen.merged && asSeen.closedAt !== null ? timeText(asSeen.closedAt) : null,
    merged: asSeen.merged,
    merged_by: asSeen.merged ? user : null,
    merge_commit_sha: null,
    milestone: null,
    auto_merge: null,
    author_association: asSeen.authorAssociation,
    head: {
      label: `${head.repository?.owner.login ?? 'unknown'}:${head.branch}`,
      ref: head.branch,
      sha: head.sha,
      user: head.repository === null ? null : userJson(head.repository.owner),
      repo: head.repository === null ? null : repositoryJson(head.repository),
    },
    base: {
      label: `${base.owner.login}:${asSeen.baseBranch}`,
      ref: asSeen.baseBranch,
      sha: asSeen.baseSha,
      user: userJson(base.owner),
      repo: repositoryJson(base),
    },
    statuses_url: `${API}/repos/${base.fullName}/statuses/${head.sha}`,
    _links: links,
  };
}

export function commentJson(comment: FakeComment): Json {
  const { pull } = comment;
  const html = `${WEB}/${pull.base.fullName}/pull/${pull.number}`;
  return {
    id: comment.id,
    node_id: nodeId('IssueComment', comment.id),
    url: `${API}/repos/${pull.base.fullName}/issues/comments/${comment.id}`,
    html_url: `${html}#issuecomment-${comment.id}`,
    issue_url: `${API}/repos/${pull.base.fullName}/issues/${pull.number}`,
    body: comment.body,
    user: userJson(comment.author),
    created_at: timeText(comment.createdAt),
    updated_at: timeText(comment.updatedAt),
    author_association: 'MEMBER',
  };
}

export function statusJson(repository: FakeRepository, status: FakeRepository['statuses'][number]): Json {
  return {
    url: `${API}/repos/${repository.fullName}/statuses/${status.sha}`,
    avatar_url: null,
    id: status.id,
    node_id: nodeId('StatusContext', status.id),
    state: status.state,
    description: status.description,
    target_url: status.targetUrl,
    context: status.context,
    created_at: timeText(status.createdAt),
    updated_at: timeText(status.createdAt),
    creator: userJson(status.creator),
  };
}

/** `GET /repos/{owner}/{repo}/branches/{branch}`; the commit in it is as small as the description allows. */
export function branchJson(repository: FakeRepository, branch: string, sha: string): Json {
  const api = `${API}/repos/${repository.fullName}`;
  const html = `${WEB}/${repository.fullName}`;
  const person = { name: 'Octo Cat', email: 'octocat@example.com', date: timeText(repository.createdAt) };
  const tree = { sha, url: `${api}/git/trees/${sha}` };
  return {
    name: branch,
    commit: {
      sha,
      node_id: nodeId('Commit', repository.id),
      commit: {
        author: person,
        committer: person,
        message: 'a commit',
        tree,
        url: `${api}/git/commits/${sha}`,
        comment_count: 0,
      },
      url: `${api}/commits/${sha}`,
      html_url: `${html}/commit/${sha}`,
      comments_url: `${api}/commits/${sha}/comments`,
      author: userJson(repository.owner),
      committer: userJson(repository.owner),
      parents: [],
    },
    _links: {
      self: `${api}/branches/${encodeURIComponent(branch)}`,
      html: `${html}/tree/${encodeURIComponent(branch)}`,
    },
    protected: false,
    protection: { enabled: false },
    protection_url: `${api}/branches/${encodeURIComponent(branch)}/protection`,
  };
}

export function nodeId(kind: string, id: number): string {
  return Buffer.from(`${kind}${id}`).toString('base64');
}
