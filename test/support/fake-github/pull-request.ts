import type { FakeRepository, FakeUser } from './repository.ts';
import type { FakeWorld } from './world.ts';

export interface PullRequestOptions {
  /** The branch to be merged. */
  readonly head: string;
  /** The fork it is in; the repository itself when absent. */
  readonly from?: FakeRepository;
  readonly base?: string;
  readonly title?: string;
  readonly body?: string | null;
  /** Login; the owner of the head repository when absent. */
  readonly author?: string;
  readonly draft?: boolean;
  readonly authorAssociation?: string;
}

/** What GitHub would say of a pull request at one moment. Never changed, only replaced: a stale read shows an older one. */
export interface PullRequestState {
  readonly state: 'open' | 'closed';
  readonly merged: boolean;
  readonly draft: boolean;
  readonly locked: boolean;
  readonly title: string;
  readonly body: string | null;
  readonly author: FakeUser;
  readonly authorAssociation: string;
  readonly head: { readonly repository: FakeRepository | null; readonly branch: string; readonly sha: string };
  readonly baseBranch: string;
  readonly baseSha: string;
  readonly updatedAt: Date;
  readonly closedAt: Date | null;
}

/** A pull request of the stand-in GitHub. Each method does what a person does and resolves when GitHub has sent its webhooks. */
export class FakePullRequest {
  readonly id: number;
  readonly number: number;
  readonly base: FakeRepository;
  readonly createdAt: Date;
  /** Oldest first; the last is the present. */
  readonly history: PullRequestState[];
  readonly #world: FakeWorld;

  private constructor(world: FakeWorld, base: FakeRepository, first: PullRequestState) {
    this.#world = world;
    this.id = world.nextId();
    this.number = base.nextNumber();
    this.base = base;
    this.createdAt = world.now();
    this.history = [first];
  }

  static async open(world: FakeWorld, base: FakeRepository, options: PullRequestOptions): Promise<FakePullRequest> {
    const repository = options.from ?? base;
    const baseBranch = options.base ?? base.defaultBranch;
    const sha = repository.head(options.head);
    const baseSha = base.head(baseBranch);
    if (sha === null || baseSha === null) throw new Error(`no branch ${sha === null ? options.head : baseBranch}`);
    const pull = new FakePullRequest(world, base, {
      state: 'open',
      merged: false,
      draft: options.draft ?? false,
      locked: false,
      title: options.title ?? 'A change',
      body: options.body ?? null,
      author: options.author === undefined ? repository.owner : world.user(options.author),
      authorAssociation: options.authorAssociation ?? 'CONTRIBUTOR',
      head: { repository, branch: options.head, sha },
      baseBranch,
      baseSha,
      updatedAt: world.now(),
      closedAt: null,
    });
    await pull.#publishRef();
    return pull;
  }

  get state(): PullRequestState {
    return this.history.at(-1) as PullRequestState;
  }

  get head(): string {
    return this.state.head.sha;
  }

  /** Our comments and everybody else's, oldest first. */
  get comments() {
    return this.base.comments.filter((comment) => comment.pull === this);
  }

  /** Statuses of its commits, oldest first. */
  get statuses() {
    return this.base.statuses.filter((status) => this.history.some(({ head }) => head.sha === status.sha));
  }

  /** As FakeRepository.push, on the branch of this pull request. */
  push(changes: Parameters<FakeRepository['push']>[1]): Promise<string> {
    return this.#headRepository().push(this.state.head.branch, changes);
  }

  forcePush(changes: Parameters<FakeRepository['push']>[1], onto?: string | null): Promise<string> {
    return this.#headRepository().forcePush(this.state.head.branch, changes, onto);
  }

  forcePushBack(sha: string): Promise<void> {
    return this.#headRepository().forcePushBack(this.state.head.branch, sha);
  }

  async close(options: { merge?: boolean } = {}): Promise<void> {
    this.#change({ state: 'closed', merged: options.merge ?? false, closedAt: this.#world.now() });
    await this.announce('closed');
  }

  async reopen(): Promise<void> {
    this.#change({ state: 'open', closedAt: null });
    await this.announce('reopened');
  }

  async edit(changes: { title?: string; body?: string | null; base?: string }): Promise<void> {
    const { base, ...text } = changes;
    const before = this.state;
    this.#change({
      ...text,
      ...(base === undefined ? {} : { baseBranch: base, baseSha: this.base.head(base) ?? before.baseSha }),
    });
    await this.announce('edited', {
      changes: {
        ...(text.title === undefined ? {} : { title: { from: before.title } }),
        ...(text.body === undefined ? {} : { body: { from: before.body ?? '' } }),
        ...(base === undefined ? {} : { base: { ref: { from: before.baseBranch }, sha: { from: before.baseSha } } }),
      },
    });
  }

  async convertToDraft(): Promise<void> {
    this.#change({ draft: true });
    await this.announce('converted_to_draft');
  }

  async markReady(): Promise<void> {
    this.#change({ draft: false });
    await this.announce('ready_for_review');
  }

  /** A locked conversation takes no comment of ours. */
  async lock(): Promise<void> {
    this.#change({ locked: true });
    await this.announce('locked');
  }

  /** Its branch has a new head. */
  async headMoved(sha: string): Promise<void> {
    const before = this.head;
    this.#change({ head: { ...this.state.head, sha } });
    await this.#publishRef();
    await this.announce('synchronize', { before, after: sha });
  }

  /** The fork it came from was deleted. GitHub says nothing about that. */
  headRepositoryDeleted(): void {
    this.#change({ head: { ...this.state.head, repository: null } });
  }

  /** A comment of a person. */
  comment(login: string, body: string): number {
    return this.#world.addComment(this, this.#world.user(login), body).id;
  }

  /**
   * Somebody with the right to do so edits a comment, whoever wrote it. Times are told in whole seconds, and no person opens a comment, changes it and
   * saves it within the second in which it was made.
   */
  async editComment(login: string, id: number, body: string): Promise<void> {
    const comment = this.#commentOf(id);
    const earliest = comment.createdAt.getTime() + 1_000;
    Object.assign(comment, { body, updatedAt: new Date(Math.max(this.#world.now().getTime(), earliest)) });
    await this.#world.announceComment(comment, 'edited', this.#world.user(login));
  }

  /** The same, deleting it. */
  async deleteComment(login: string, id: number): Promise<void> {
    const comment = this.#commentOf(id);
    this.base.comments.splice(this.base.comments.indexOf(comment), 1);
    await this.#world.announceComment(comment, 'deleted', this.#world.user(login));
  }

  #commentOf(id: number) {
    const comment = this.comments.find((each) => each.id === id);
    if (comment === undefined) throw new Error(`there is no comment ${id}`);
    return comment;
  }

  /** Sends the event of an action, with the pull request as it is now. */
  async announce(action: string, more: object = {}): Promise<void> {
    await this.#world.announce(this, action, more);
  }

  #headRepository(): FakeRepository {
    const { repository } = this.state.head;
    if (repository === null) throw new Error('the head repository was deleted');
    return repository;
  }

  #change(changes: Partial<PullRequestState>): void {
    this.history.push({ ...this.state, ...changes, updatedAt: this.#world.now() });
  }

  /** `refs/pull/<n>/head` is how the commit of a fork can be fetched from the base repository. */
  async #publishRef(): Promise<void> {
    const { branch, sha } = this.state.head;
    const ref = `refs/pull/${this.number}/head`;
    const repository = this.#headRepository();
    if (repository === this.base) await this.base.git.git('update-ref', ref, sha);
    else await this.base.git.fetch(repository.git, `refs/heads/${branch}`, ref);
  }
}
