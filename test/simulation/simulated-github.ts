/** GitHub as a state machine: its state is the truth, deliveries are derived from it, and it may answer late, wrongly or with old news. */
import type { ListedComment } from '../../webhook/core/report-record.ts';
import type { Report } from '../../webhook/core/report.ts';
import type { ObservedSubject, PreviewKey, RepositoryName, Sha } from '../../webhook/core/pull-request.ts';

/** The account that the operators comment with. */
export const OUR_LOGIN = 'berth-bot';

/** What the app at a commit is like. */
export type AppKind =
  | 'good'
  | 'with-database'
  | 'with-extra-host'
  | 'bad-manifest'
  | 'no-manifest'
  | 'setup-fails'
  | 'unhealthy';

export type SimulatedComment = { -readonly [Fact in keyof ListedComment]: ListedComment[Fact] };

export interface SimulatedPull {
  readonly number: number;
  state: 'open' | 'closed';
  sha: Sha;
  ref: string;
  base: string;
  /** The repository id the commit comes from; null for a deleted fork. */
  headRepositoryId: number | null;
  author: string;
  draft: boolean;
  /** Whether there ever was a reason for its preview not to exist. */
  wasAbsent: boolean;
  readonly comments: SimulatedComment[];
  /** The latest commit status per commit. */
  readonly statuses: Map<string, string>;
  /** The commit status that was set last. */
  lastStatus: Report['status'];
}

export interface SimulatedRepository {
  readonly id: number;
  name: RepositoryName;
  readonly pulls: Map<number, SimulatedPull>;
}

interface Snapshot {
  readonly atMs: number;
  readonly observed: ObservedSubject;
}

export class SimulatedGitHub {
  readonly repositories = new Map<number, SimulatedRepository>();
  /** Old names that redirect to a repository. */
  readonly redirects = new Map<string, number>();
  readonly apps = new Map<string, AppKind>();
  readonly #history = new Map<string, Snapshot[]>();
  /** The heads that a pull request had before the one that it has. */
  readonly #earlierHeads = new Map<SimulatedPull, Sha[]>();
  #nextCommentId = 1;

  addRepository(id: number, name: string): SimulatedRepository {
    const repository: SimulatedRepository = { id, name: name as RepositoryName, pulls: new Map() };
    this.repositories.set(id, repository);
    return repository;
  }

  rename(repository: SimulatedRepository, name: string): void {
    this.redirects.set(repository.name, repository.id);
    this.redirects.delete(name);
    repository.name = name as RepositoryName;
  }

  byName(name: string): SimulatedRepository | null {
    for (const repository of this.repositories.values()) if (repository.name === name) return repository;
    const redirected = this.redirects.get(name);
    return redirected === undefined ? null : (this.repositories.get(redirected) ?? null);
  }

  pullOf({ repositoryId, subject }: PreviewKey): SimulatedPull | undefined {
    return subject.kind === 'pull' ? this.repositories.get(repositoryId)?.pulls.get(subject.number) : undefined;
  }

  /** The head moves to another commit. */
  push(pull: SimulatedPull, sha: Sha): void {
    const earlier = this.#earlierHeads.get(pull) ?? [];
    this.#earlierHeads.set(pull, [...earlier, pull.sha]);
    pull.sha = sha;
  }

  /** The head goes back to the one before. False when there was none. */
  pushBack(pull: SimulatedPull): boolean {
    const earlier = this.#earlierHeads.get(pull)?.pop();
    if (earlier === undefined) return false;
    pull.sha = earlier;
    return true;
  }

  /** Remembers the state of a pull request, so that a stale read can return it later. */
  record(repository: SimulatedRepository, pull: SimulatedPull, atMs: number): void {
    const key = `${repository.id}/${pull.number}`;
    const snapshots = this.#history.get(key) ?? [];
    snapshots.push({ atMs, observed: observedOf(repository, pull) });
    this.#history.set(key, snapshots);
  }

  /** The pull request as it is now, or as it was `lagMs` ago. */
  observe(key: PreviewKey, name: RepositoryName, nowMs: number, lagMs: number): ObservedSubject {
    const { subject } = key;
    const repository = this.byName(name);
    if (repository === null || repository.id !== key.repositoryId || subject.kind !== 'pull')
      return { state: 'missing' };
    const pull = repository.pulls.get(subject.number);
    if (pull === undefined) return { state: 'missing' };
    const old =
      lagMs === 0
        ? undefined
        : this.#history.get(`${repository.id}/${pull.number}`)?.findLast((each) => each.atMs <= nowMs - lagMs);
    return old?.observed ?? observedOf(repository, pull);
  }

  /** A comment by the account that the operators comment with. */
  createComment(pull: SimulatedPull, body: string, at: Date): number {
    const id = this.#nextCommentId;
    this.#nextCommentId += 1;
    pull.comments.push({ id, author: OUR_LOGIN, body, createdAt: at, updatedAt: at });
    return id;
  }

  /** Also somebody else's doing. Nobody opens a comment, changes it and saves it within the second in which it was made. */
  editComment(pull: SimulatedPull, id: number, body: string, at: Date): void {
    const comment = pull.comments.find((each) => each.id === id);
    if (comment === undefined) return;
    const earliest = comment.createdAt.getTime() + 1_000;
    Object.assign(comment, { body, updatedAt: new Date(Math.max(at.getTime(), earliest)) });
  }
}

function observedOf(repository: SimulatedRepository, pull: SimulatedPull): ObservedSubject {
  if (pull.state === 'closed') return { state: 'closed', repository: repository.name };
  return {
    state: 'open',
    repository: repository.name,
    revision: { sha: pull.sha, ref: pull.ref },
    headRepositoryId: pull.headRepositoryId,
    author: pull.author,
    draft: pull.draft,
  };
}
