import { rename, symlink } from 'node:fs/promises';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BareRepository, type FileChanges } from './bare-repository.ts';
import { FakePullRequest, type PullRequestOptions } from './pull-request.ts';
import type { FakeWorld } from './world.ts';

export interface FakeUser {
  readonly login: string;
  readonly id: number;
  readonly type: 'User' | 'Organization' | 'Bot';
}

export interface FakeComment {
  readonly id: number;
  readonly pull: FakePullRequest;
  readonly author: FakeUser;
  readonly createdAt: Date;
  body: string;
  updatedAt: Date;
}

export interface FakeStatus {
  readonly id: number;
  readonly sha: string;
  readonly state: string;
  readonly context: string;
  readonly description: string | null;
  readonly targetUrl: string | null;
  readonly creator: FakeUser;
  readonly createdAt: Date;
}

/** A repository of the stand-in GitHub. What changes it here is what people do: commits, pushes, pull requests, a rename. */
export class FakeRepository {
  readonly id: number;
  readonly createdAt: Date;
  /** The repository that this one is a fork of. */
  readonly parent: FakeRepository | null;
  readonly pulls: FakePullRequest[] = [];
  readonly comments: FakeComment[] = [];
  readonly statuses: FakeStatus[] = [];
  readonly defaultBranch = 'main';
  /** Answered with 404, to everybody: deleted, or our access is lost. */
  hidden = false;
  private: boolean;
  owner: FakeUser;
  name: string;
  git: BareRepository;
  readonly #world: FakeWorld;
  readonly #branches = new Map<string, string>();
  #lastNumber = 0;

  private constructor(
    world: FakeWorld,
    identity: { owner: FakeUser; name: string; private: boolean; parent: FakeRepository | null },
    git: BareRepository,
  ) {
    this.#world = world;
    this.id = world.nextId();
    this.createdAt = world.now();
    this.owner = identity.owner;
    this.name = identity.name;
    this.private = identity.private;
    this.parent = identity.parent;
    this.git = git;
  }

  static async create(
    world: FakeWorld,
    fullName: string,
    options: { private?: boolean; parent?: FakeRepository } = {},
  ): Promise<FakeRepository> {
    const [login = '', name = ''] = fullName.split('/');
    const git = await BareRepository.create(join(world.directory, `${fullName}.git`));
    const identity = {
      owner: world.user(login),
      name,
      private: options.private ?? false,
      parent: options.parent ?? null,
    };
    return new FakeRepository(world, identity, git);
  }

  get fullName(): string {
    return `${this.owner.login}/${this.name}`;
  }

  get cloneUrl(): string {
    return `${this.#world.cloneBase}/${this.fullName}.git`;
  }

  /** The commit at the head of a branch. */
  head(branch: string): string | null {
    return this.#branches.get(branch) ?? null;
  }

  /** Commits on a branch, on top of what is there (a new branch starts at the default one), without anybody hearing of it. */
  async commit(branch: string, changes: FileChanges, message = 'Change files'): Promise<string> {
    return this.#commitOnto(branch, changes, { parent: this.head(branch) ?? this.head(this.defaultBranch), message });
  }

  /** A commit and a push: open pull requests of the branch hear of it. Resolves when GitHub has sent what it sends. */
  async push(branch: string, changes: FileChanges, message = 'Change files'): Promise<string> {
    const sha = await this.commit(branch, changes, message);
    await this.#tellPullRequests(branch, sha);
    return sha;
  }

  /** Replaces the head of the branch by a commit on `onto` (the default branch when not given), as an amended commit does. */
  async forcePush(
    branch: string,
    changes: FileChanges,
    onto: string | null = this.head(this.defaultBranch),
  ): Promise<string> {
    const sha = await this.#commitOnto(branch, changes, { parent: onto, message: 'Change files, again' });
    await this.#tellPullRequests(branch, sha);
    return sha;
  }

  /** Makes a commit that is there already the head of the branch, as a force push of an earlier state does. */
  async forcePushBack(branch: string, sha: string): Promise<void> {
    await this.git.git('update-ref', `refs/heads/${branch}`, sha);
    this.#branches.set(branch, sha);
    await this.#tellPullRequests(branch, sha);
  }

  async deleteBranch(branch: string): Promise<void> {
    await this.git.git('update-ref', '-d', `refs/heads/${branch}`);
    this.#branches.delete(branch);
  }

  /** A fork of an owner, with all branches. */
  async fork(login: string, name = this.name): Promise<FakeRepository> {
    const fork = await this.#world.addRepository(`${login}/${name}`, { private: this.private, parent: this });
    await fork.git.git('fetch', '--quiet', this.git.directory, '+refs/heads/*:refs/heads/*');
    for (const [branch, sha] of this.#branches) fork.#branches.set(branch, sha);
    return fork;
  }

  /** Opens a pull request of a branch of this repository, or of `from`. */
  async openPullRequest(options: PullRequestOptions): Promise<FakePullRequest> {
    const pull = await FakePullRequest.open(this.#world, this, options);
    this.pulls.push(pull);
    await pull.announce('opened');
    return pull;
  }

  pull(number: number): FakePullRequest | undefined {
    return this.pulls.find((pull) => pull.number === number);
  }

  /** A number that nobody else has been given; GitHub counts issues and pull requests together. */
  nextNumber(): number {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  /** A new name, or a new owner. The old name keeps working, for the API by a redirect. */
  async rename(fullName: string): Promise<void> {
    const before = this.fullName;
    const [login = '', name = ''] = fullName.split('/');
    const directory = join(this.#world.directory, `${fullName}.git`);
    await mkdir(dirname(directory), { recursive: true });
    await rm(directory, { force: true });
    await rename(this.git.directory, directory);
    await symlink(directory, join(this.#world.directory, `${before}.git`));
    this.git = new BareRepository(directory);
    this.owner = this.#world.user(login);
    this.name = name;
    this.#world.redirect(before, this);
  }

  /** Gone for good: pull requests that came from it have no head repository any more. */
  async delete(): Promise<void> {
    this.#world.removeRepository(this);
    await rm(this.git.directory, { recursive: true, force: true });
  }

  async #commitOnto(
    branch: string,
    changes: FileChanges,
    { parent, message }: { parent: string | null; message: string },
  ): Promise<string> {
    const sha = await this.git.commit(`refs/heads/${branch}`, changes, { parent, message, at: this.#world.now() });
    this.#branches.set(branch, sha);
    return sha;
  }

  async #tellPullRequests(branch: string, sha: string): Promise<void> {
    const pulls = this.#world.openPullRequestsFrom(this, branch);
    await Promise.all(pulls.map((pull) => pull.headMoved(sha)));
  }
}
