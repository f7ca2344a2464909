import { Deliveries, type FakeHook } from './deliveries.ts';
import type { FakePullRequest } from './pull-request.ts';
import { FakeRepository, type FakeComment, type FakeUser } from './repository.ts';
import { commentJson, pullRequestJson, repositoryJson, userJson } from './shapes.ts';

/** The state of the stand-in GitHub: users, repositories, hooks. What it answers and what it sends is derived from this. */
export class FakeWorld {
  /** Holds `<owner>/<name>.git` of every repository. */
  readonly directory: string;
  readonly cloneBase: string;
  readonly deliveries: Deliveries;
  readonly hooks: FakeHook[] = [];
  readonly #users = new Map<string, FakeUser>();
  readonly #repositories = new Map<number, FakeRepository>();
  readonly #redirects = new Map<string, number>();
  #lastId = 1_000;
  #lastTimeMs = 0;

  constructor(directory: string) {
    this.directory = directory;
    this.cloneBase = `file://${directory}`;
    this.deliveries = new Deliveries(this);
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** The time; never the same twice, so that what came first can be told. */
  readonly now = (): Date => {
    this.#lastTimeMs = Math.max(Date.now(), this.#lastTimeMs + 1);
    return new Date(this.#lastTimeMs);
  };

  /** The user of a login, made when there was none. GitHub does not tell upper from lower case. */
  user(login: string, type: FakeUser['type'] = login.endsWith('[bot]') ? 'Bot' : 'User'): FakeUser {
    const known = this.#users.get(login.toLowerCase());
    if (known !== undefined) return known;
    const user: FakeUser = { login, id: this.nextId(), type };
    this.#users.set(login.toLowerCase(), user);
    return user;
  }

  get repositories(): readonly FakeRepository[] {
    return [...this.#repositories.values()];
  }

  async addRepository(
    fullName: string,
    options: { private?: boolean; parent?: FakeRepository } = {},
  ): Promise<FakeRepository> {
    if (this.find(fullName) !== null) throw new Error(`there is a repository ${fullName}`);
    const repository = await FakeRepository.create(this, fullName, options);
    this.#repositories.set(repository.id, repository);
    return repository;
  }

  removeRepository(repository: FakeRepository): void {
    this.#repositories.delete(repository.id);
    for (const other of this.#repositories.values()) {
      for (const pull of other.pulls) if (pull.state.head.repository === repository) pull.headRepositoryDeleted();
    }
  }

  redirect(oldName: string, repository: FakeRepository): void {
    this.#redirects.set(oldName.toLowerCase(), repository.id);
  }

  find(fullName: string): FakeRepository | null {
    const name = fullName.toLowerCase();
    return this.repositories.find((repository) => repository.fullName.toLowerCase() === name) ?? null;
  }

  byId(id: number): FakeRepository | null {
    return this.#repositories.get(id) ?? null;
  }

  /** The repository that had this name before, as long as no other took it. */
  findRenamed(fullName: string): FakeRepository | null {
    const id = this.#redirects.get(fullName.toLowerCase());
    return id === undefined ? null : this.byId(id);
  }

  openPullRequestsFrom(repository: FakeRepository, branch: string): FakePullRequest[] {
    return this.repositories
      .flatMap(({ pulls }) => pulls)
      .filter(
        ({ state }) => state.state === 'open' && state.head.repository === repository && state.head.branch === branch,
      );
  }

  addComment(pull: FakePullRequest, author: FakeUser, body: string): FakeComment {
    const at = this.now();
    const comment: FakeComment = { id: this.nextId(), pull, author, body, createdAt: at, updatedAt: at };
    pull.base.comments.push(comment);
    return comment;
  }

  addHook(hook: Omit<FakeHook, 'id' | 'active' | 'events'> & { events?: string[] }): FakeHook {
    const added: FakeHook = { events: ['pull_request'], ...hook, id: this.nextId(), active: true };
    this.hooks.push(added);
    return added;
  }

  /** Sends `issue_comment` to every hook that wants it. */
  async announceComment(comment: FakeComment, action: string, sender: FakeUser): Promise<void> {
    const { number, base, state } = comment.pull;
    const issue = {
      number,
      title: state.title,
      pull_request: { html_url: `https://github.com/${base.fullName}/pull/${number}` },
    };
    const parts = { issue, comment: commentJson(comment), repository: repositoryJson(base), sender: userJson(sender) };
    await this.#send('issue_comment', { action, ...parts }, base.id);
  }

  /** Sends `pull_request` to every hook that wants it. */
  async announce(pull: FakePullRequest, action: string, more: object): Promise<void> {
    const payload = {
      action,
      number: pull.number,
      pull_request: pullRequestJson(pull),
      repository: repositoryJson(pull.base),
      sender: userJson(pull.state.author),
      ...more,
    };
    await this.#send('pull_request', payload, pull.base.id);
  }

  async ping(hook: FakeHook): Promise<void> {
    const payload = { zen: 'Keep it logically awesome.', hook_id: hook.id, hook: { type: 'Repository', id: hook.id } };
    await this.deliveries.send(hook, 'ping', payload, hook.repositoryId);
  }

  async #send(event: string, payload: object, from: number): Promise<void> {
    const wanting = this.hooks.filter(
      ({ active, events, repositoryId }) =>
        active && (repositoryId === null || repositoryId === from) && (events.includes(event) || events.includes('*')),
    );
    await Promise.all(wanting.map((hook) => this.deliveries.send(hook, event, payload, from)));
  }
}
