/** One history on the stand-in GitHub: its repositories, pull requests and commits are real, and belong to it alone. */
import type { FakePullRequest } from '../support/fake-github/pull-request.ts';
import type { FakeRepository } from '../support/fake-github/repository.ts';
import type { FakeGitHub } from '../support/fake-github.ts';
import { REPOSITORIES, type History, type HistoryEvent } from './history.ts';
import { filesOf } from './real-apps.ts';
import type { AppKind } from './simulated-github.ts';

type Opening = Extract<HistoryEvent, { kind: 'open' }>;

export class RealHistory {
  readonly history: History;
  /** What the app at a commit is like. */
  readonly apps = new Map<string, AppKind>();
  /** Commits that must be neither fetched nor run. */
  readonly strangers = new Set<string>();
  readonly #index: number;
  readonly #repositories = new Map<number, FakeRepository>();
  readonly #pulls = new Map<string, FakePullRequest>();
  readonly #disallowed = new Set<number>();

  private constructor(history: History, index: number) {
    this.history = history;
    this.#index = index;
  }

  static async prepare(github: FakeGitHub, history: History, index: number): Promise<RealHistory> {
    const made = new RealHistory(history, index);
    for (const { id, name } of REPOSITORIES)
      made.#repositories.set(id, await github.addRepository(made.#named(name), { 'README.md': name }));
    return made;
  }

  /** The allow-list's share of this history, by the names that the operator of the simulation writes down too. */
  allowedNames(): string[] {
    const names = REPOSITORIES.filter(({ id }) => !this.#disallowed.has(id)).map(({ name }) => name);
    return [...names, 'acme/renamed-1-101', 'acme/renamed-2-102'].map((name) => this.#named(name));
  }

  setAllowed(repository: number, isAllowed: boolean): void {
    if (isAllowed) this.#disallowed.delete(repository);
    else this.#disallowed.add(repository);
  }

  owns(repositoryId: number | null): boolean {
    return [...this.#repositories.values()].some(({ id }) => id === repositoryId);
  }

  pulls(): FakePullRequest[] {
    return [...this.#pulls.values()];
  }

  /** Something happens on GitHub. What is not possible does not happen, as in the simulation. */
  async happen(event: HistoryEvent): Promise<void> {
    if (event.kind === 'open') return this.#open(event);
    if (event.kind === 'rename' || event.kind === 'transfer') {
      const repository = this.#repositories.get(event.repository);
      const name = this.#named(event.name);
      if (repository !== undefined && repository.fullName !== name) await repository.rename(name);
      return;
    }
    if ('number' in event) await this.#happenToPull(event);
  }

  /** As in the simulation only where there is a preview: the last word on one that is gone nobody looks at any more. */
  async #happenToComment(pull: FakePullRequest, kind: 'comment-edited' | 'comment-deleted'): Promise<void> {
    const [comment] = pull.comments;
    if (comment === undefined || pull.state.state === 'closed') return;
    if (!this.allowedNames().includes(pull.base.fullName)) return;
    if (kind === 'comment-edited') await pull.editComment('mona', comment.id, 'Somebody wrote something else here.');
    else await pull.deleteComment('mona', comment.id);
  }

  async #open(event: Opening): Promise<void> {
    const repository = this.#repositories.get(event.repository);
    const key = `${event.repository}/${event.number}`;
    if (repository === undefined || this.#pulls.has(key)) return;
    const head = `branch-${event.number}`;
    const isForked = event.author === 'fork' || event.author === 'deleted-fork';
    const from = isForked ? await repository.fork(`stranger-${this.#index}-${event.number}`) : repository;
    const sha = await from.commit(head, filesOf(event.app, event.sha));
    this.#remember(sha, event.app, event.author !== 'member');
    const author = event.author === 'dependabot' ? { author: 'dependabot[bot]' } : {};
    const pull = await repository.openPullRequest({ head, from, draft: event.draft, ...author });
    this.#pulls.set(key, pull);
    if (event.author === 'deleted-fork') await from.delete();
  }

  async #happenToPull(event: Exclude<Extract<HistoryEvent, { number: number }>, Opening>): Promise<void> {
    const pull = this.#pulls.get(`${event.repository}/${event.number}`);
    if (pull === undefined) return;
    const { state, head } = pull.state;
    switch (event.kind) {
      case 'push': {
        if (head.repository === null) return;
        const isStranger = head.repository !== pull.base || pull.state.author.login === 'dependabot[bot]';
        const sha = await head.repository.commit(head.branch, filesOf(event.app, event.sha));
        this.#remember(sha, event.app, isStranger);
        // GitHub does not move a closed pull request along with its branch.
        if (state === 'open') await pull.headMoved(sha);
        return;
      }
      case 'close':
        return state === 'open' ? pull.close() : undefined;
      case 'reopen':
        return state === 'closed' ? pull.reopen() : undefined;
      case 'draft':
        return pull.convertToDraft();
      case 'ready':
        return pull.markReady();
      case 'base':
        return pull.edit({ base: 'next' });
      case 'fork-deleted':
        return pull.headRepositoryDeleted();
      case 'comment-edited':
      case 'comment-deleted':
        return this.#happenToComment(pull, event.kind);
      case 'back':
      case 'destroy':
      case 'rollback':
      case 'update':
        // Only in the simulated world (REAL_FAULT_KINDS).
        return;
    }
  }

  #remember(sha: string, app: AppKind, isStranger: boolean): void {
    this.apps.set(sha, app);
    if (isStranger) this.strangers.add(sha);
  }

  #named(name: string): string {
    return `${name}-h${this.#index}`;
  }
}
