/** The ports of one operator process over the simulated world. The reconciler, the jobs and the policy above them are the real ones. */
import { OperatorError } from '../../webhook/core/errors.ts';
import type { AppManifest } from '../../webhook/core/app-manifest.ts';
import type { DatabaseName, InstanceName } from '../../webhook/core/names.ts';
import type { Policy } from '../../webhook/core/policy.ts';
import { keyText, ownerOf, type PreviewKey, type Sha } from '../../webhook/core/pull-request.ts';
import { commentHashOf, statusHashOf } from '../../webhook/core/report.ts';
import { addressesOf, type AddressPool } from '../../webhook/core/slots.ts';
import type {
  Health,
  PreviewRoute,
  JobQueue,
  Log,
  Operator,
  PreviewLock,
  PreviewStore,
  PullRequests,
  Reports,
  Routes,
  Runtime,
  Sources,
} from '../../webhook/ports.ts';
import type { Faults, SimulatedProcess } from './faults.ts';
import type { SeededRandom } from './random.ts';
import type { AppKind, SimulatedGitHub, SimulatedPull } from './simulated-github.ts';
import type { SimulatedHost } from './simulated-host.ts';
import type { SimulatedState } from './simulated-state.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Everything that processes share. */
export interface Shared {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly faults: Faults;
  readonly github: SimulatedGitHub;
  readonly host: SimulatedHost;
  readonly state: SimulatedState;
  readonly pool: AddressPool;
  readonly knownHeads: ReadonlyMap<Sha, number>;
  readonly violations: Set<string>;
  /** Sends the deliveries that came to nothing once more; returns how many. */
  readonly redeliver: () => number;
}

export const NO_LOG: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => NO_LOG };

/** Virtual time that setup takes: long enough for pushes, closes and crashes to fall into it. */
const SETUP_MS_MAX = 4_000;

export function simulatedOperator(world: Shared, process: SimulatedProcess, policy: Policy): Operator {
  const clock = {
    now: () => world.clock.now(),
    sleep: async (ms: number, signal?: AbortSignal) => {
      await world.clock.sleep(ms, signal);
      if (!process.alive) await new Promise(() => undefined);
    },
  };
  return {
    policy,
    clock,
    log: NO_LOG,
    random: { password: () => `password-${world.random.integer(0, 1e9)}` },
    pullRequests: pullRequests(world, process),
    reports: reports(world, process),
    redeliveries: { request: () => world.faults.read(process, () => world.redeliver()) },
    store: store(world, process),
    jobs: jobs(world, process),
    sources: sources(world, process),
    runtime: runtime(world, process),
    health: health(world, process),
    routes: routes(world, process),
    databases: databases(world, process),
    secrets: { read: async () => ({}) },
  };
}

function pullRequests({ github, faults, random, clock }: Shared, process: SimulatedProcess): PullRequests {
  const fail = () => {
    if (!random.chance(faults.rates.github)) return;
    throw random.pick([
      new OperatorError('GITHUB_UNREACHABLE', 'GitHub answered 502 (injected).'),
      new OperatorError('GITHUB_RATE_LIMITED', 'GitHub answered 429 (injected).', { retryAfterMs: 5_000 }),
      new OperatorError('GITHUB_FORBIDDEN', 'GitHub answered 403 (injected).'),
    ]);
  };
  return {
    observe: (key, repository) =>
      faults.read(process, () => {
        fail();
        if (random.chance(faults.rates.github)) return { state: 'missing' };
        const lagMs = random.chance(faults.rates.stale) ? random.integer(200, 3_000) : 0;
        return github.observe(key, repository, clock.elapsedMs, lagMs);
      }),
    listOpen: (name) =>
      faults.read(process, () => {
        fail();
        const repository = github.byName(name);
        if (repository === null) throw new OperatorError('SUBJECT_NOT_FOUND', 'GitHub answered 404.');
        const open = [...repository.pulls.values()].filter((pull) => pull.state === 'open');
        return open.map((pull) => ({
          repositoryId: repository.id,
          subject: { kind: 'pull' as const, number: pull.number },
        }));
      }),
    find: async () => null,
    listRepositories: async (owner) =>
      [...github.repositories.values()].map(({ name }) => name).filter((name) => ownerOf(name) === owner),
  };
}

function reports({ github, faults }: Shared, process: SimulatedProcess): Reports {
  return {
    ensure: (before, report) => {
      let commentId = before.commentId;
      return faults.effect(process, 'reports.ensure', () => {
        const repository = github.repositories.get(before.key.repositoryId);
        if (repository === undefined || before.key.subject.kind !== 'pull')
          throw new OperatorError('GITHUB_UNREACHABLE', 'No such pull request.');
        const { number } = before.key.subject;
        const pull = repository.pulls.get(number);
        if (pull === undefined) throw new OperatorError('GITHUB_UNREACHABLE', 'No such pull request.');
        // As the real adapter: by id, or else a comment of ours that a cut-off try left behind.
        const known = pull.comments.find((comment) => comment.id === commentId) ?? pull.comments[0];
        const { lookAskedAt, lookedAt } = before;
        const isLookWanted = lookAskedAt !== null && (lookedAt === null || lookedAt < lookAskedAt);
        const isBelieved = commentId !== null && before.commentHash === commentHashOf(report) && !isLookWanted;
        if (known === undefined && !report.mayCreate) return before;
        if (known === undefined && !isBelieved) commentId = github.createComment(repository, number, report.comment);
        if (known !== undefined && !isBelieved) {
          known.body = report.comment;
          commentId = known.id;
        }
        const status =
          report.status === null ? before.status : { sha: report.status.sha, hash: statusHashOf(report.status) };
        const isStatusBelieved = before.status?.sha === status?.sha && before.status?.hash === status?.hash;
        if (report.status !== null && !isStatusBelieved) pull.statuses.set(report.status.sha, report.status.state);
        return {
          ...before,
          commentId,
          commentHash: commentHashOf(report),
          status,
          lookedAt: before.lookAskedAt,
        };
      });
    },
  };
}

function store({ state, faults }: Shared, process: SimulatedProcess): PreviewStore {
  const held = (lock: PreviewLock): PreviewKey => {
    if (state.locks.get(keyText(lock.key))?.lock !== lock) throw new OperatorError('INTERNAL', 'The lock is not held.');
    return lock.key;
  };
  return {
    lock: (key) =>
      faults.read(process, () => {
        const text = keyText(key);
        if (state.locks.has(text)) return null;
        const lock: PreviewLock = {
          key,
          async [Symbol.asyncDispose]() {
            if (process.alive && state.locks.get(text)?.lock === lock) state.locks.delete(text);
          },
        };
        state.locks.set(text, { lock, process: process.id });
        return lock;
      }),
    load: (key) => faults.read(process, () => copyOf(state.previews.get(keyText(key)))),
    loadBySlug: (slug) =>
      faults.read(process, () => copyOf([...state.previews.values()].find((row) => row.slug === slug))),
    list: () => faults.read(process, () => [...state.previews.values()].map((row) => ({ ...row }))),
    generation: (key) => faults.read(process, () => state.previews.get(keyText(key))?.generation ?? 0),
    request: (key, repository, options = {}) =>
      faults.effect(process, 'store.request', () => state.request(key, repository, options)),
    saveWanted: (lock, wanted, repository) =>
      faults.effect(process, 'store.saveWanted', () => {
        Object.assign(state.row(held(lock)), { wanted, repository });
      }),
    saveDoing: (lock, step) =>
      faults.effect(process, 'store.saveDoing', () => {
        state.row(held(lock)).doing = step === null ? null : { step, since: new Date(0) };
      }),
    saveFailure: (lock, failure, givenUp) =>
      faults.effect(process, 'store.saveFailure', () => {
        state.row(held(lock)).failure = failure;
        if (givenUp !== undefined && failure !== null) state.saveInstance(lock.key, givenUp, { failedAt: failure.at });
      }),
    claimSlug: (lock, candidates) =>
      faults.effect(process, 'store.claimSlug', () => state.claimSlug(held(lock), candidates)),
    claimHosts: (lock, labels) =>
      faults.effect(process, 'store.claimHosts', () => state.claimHosts(held(lock), labels)),
    createInstance: (lock, revision) =>
      faults.effect(process, 'store.createInstance', () => state.createInstance(held(lock), revision)),
    saveInstance: (lock, name, facts) =>
      faults.effect(process, 'store.saveInstance', () => state.saveInstance(held(lock), name, facts)),
    saveSwitch: (lock, name, at) =>
      faults.effect(process, 'store.saveSwitch', () => state.saveSwitch(held(lock), name, at)),
    removeInstance: (lock, name) =>
      faults.effect(process, 'store.removeInstance', () => state.removeInstance(held(lock), name)),
    saveDatabase: (lock, database) =>
      faults.effect(process, 'store.saveDatabase', () => {
        state.row(held(lock)).database = database;
      }),
    forget: (lock, generation) => faults.effect(process, 'store.forget', () => state.forget(held(lock), generation)),
    loadReport: (key) => faults.read(process, () => state.reports.get(keyText(key)) ?? null),
    saveReport: (report) =>
      faults.effect(process, 'store.saveReport', () => {
        state.saveReport(report);
      }),
    askForCommentLooks: (max) =>
      faults.effect(process, 'store.askForCommentLooks', () => state.askForCommentLooks(max)),
  };
}

function copyOf<T extends object>(row: T | undefined): T | null {
  return row === undefined ? null : { ...row };
}

function jobs({ state, faults, clock }: Shared, process: SimulatedProcess): JobQueue {
  const at = (runAt?: Date) => (runAt ?? clock.now()).getTime();
  return {
    enqueueReconcile: (key, runAt) =>
      faults.effect(process, 'jobs.enqueueReconcile', () => state.addJob('reconcile', key, at(runAt))),
    enqueueReport: (key) => faults.effect(process, 'jobs.enqueueReport', () => state.addJob('report', key, at())),
    enqueueSweep: (runAt) => faults.effect(process, 'jobs.enqueueSweep', () => state.addJob('sweep', null, at(runAt))),
  };
}

function sources({ host, faults, github, random, clock }: Shared, process: SimulatedProcess): Sources {
  return {
    ensure: (source) =>
      faults.effect(process, 'sources.ensure', () => {
        host.fetched.add(`${source.key.repositoryId}/${source.revision.sha}`);
        host.touched.add(source.revision.sha);
      }),
    readFile: (source, path) =>
      faults.read(process, () => {
        if (path !== 'preview.toml') return null;
        return fileOf(github.apps.get(source.revision.sha) ?? 'good');
      }),
    hasFile: async () => false,
    place: async (source, directory) => {
      const instance = host.instances.get(directory as InstanceName);
      await faults.effect(
        process,
        'sources.place',
        async () => {
          await clock.sleep(random.integer(1, 30));
          if (!host.fetched.has(`${source.key.repositoryId}/${source.revision.sha}`))
            throw new OperatorError('COMMIT_NOT_FOUND', 'The commit was not fetched.');
          if (instance !== undefined) instance.placed = source.revision.sha;
        },
        () => {
          if (instance !== undefined) instance.placed = null;
        },
      );
    },
    removeUnused: async () => undefined,
  };
}

function fileOf(app: AppKind): string | null {
  switch (app) {
    case 'no-manifest':
      return null;
    case 'bad-manifest':
      return 'services = "nope"';
    case 'good':
      return '[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[setup]\ncommand = "build"\n';
    case 'setup-fails':
      return '[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[setup]\ncommand = "fail"\n';
    case 'unhealthy':
      return '[[services]]\nname = "web"\ncommand = "sick"\nport = 3000\n';
    case 'with-database':
      return 'database = "host"\n[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n';
    case 'with-extra-host':
      return '[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[[extraHosts]]\nprefix = "admin"\nroutes = [{ path = "/", port = 3000 }]\n';
  }
}

function runtime({ host, faults, clock, random, pool }: Shared, process: SimulatedProcess): Runtime {
  const observed = (name: InstanceName) => {
    const instance = host.instances.get(name);
    return instance === undefined ? null : { name, running: instance.running, services: [] };
  };
  const existing = (name: InstanceName) => {
    const instance = host.instances.get(name);
    if (instance === undefined) throw new OperatorError('RUNTIME_FAILED', `${name} does not exist.`);
    return instance;
  };
  return {
    kind: 'process',
    observe: (name) => faults.read(process, () => observed(name)),
    list: () => faults.read(process, () => [...host.instances.keys()].map(observed).filter((each) => each !== null)),
    addressesOf: (slot) => addressesOf(pool, slot),
    repositoryUrlOf: (name) => `file:///${name}`,
    readConfig: async () => {
      throw new OperatorError('CONFIG_REFUSED', 'Nothing is evaluated here.');
    },
    buildSystem: async () => null,
    ensureDirectory: (name) =>
      faults.effect(process, 'runtime.ensureDirectory', () => {
        if (!host.instances.has(name))
          host.instances.set(name, { name, placed: null, setUp: null, running: false, headRepositoryId: null });
        return name;
      }),
    setUp: async (spec, signal) => {
      const instance = existing(spec.name);
      host.builds.push(spec.revision.sha);
      await faults.effect(
        process,
        'runtime.setUp',
        async () => {
          await clock.sleep(random.integer(1, SETUP_MS_MAX), signal);
          if (spec.manifest.setup?.command === 'fail')
            throw new OperatorError('SETUP_FAILED', 'setup ended with status 1', { detail: 'boom' });
          instance.setUp = instance.placed;
        },
        () => {
          instance.setUp = null;
        },
      );
    },
    start: (spec) =>
      faults.effect(process, 'runtime.start', () => {
        existing(spec.name).running = true;
        host.touched.add(spec.revision.sha);
      }),
    upstreamsOf: (spec) => upstreamsOf(spec.manifest, addressesOf(pool, spec.slot).instance),
    stop: (name) =>
      faults.effect(process, 'runtime.stop', () => {
        const instance = host.instances.get(name);
        if (instance !== undefined) instance.running = false;
      }),
    remove: (name) =>
      faults.effect(
        process,
        'runtime.remove',
        () => {
          host.instances.delete(name);
        },
        () => {
          const instance = host.instances.get(name);
          if (instance !== undefined) Object.assign(instance, { running: false, placed: null, setUp: null });
        },
      ),
    async *logs() {},
  };
}

function upstreamsOf(manifest: AppManifest, address: string) {
  return Object.fromEntries(
    manifest.services.flatMap((each) =>
      each.port === undefined ? [] : [[String(each.port), { address, port: each.port }]],
    ),
  );
}

function health({ host, faults, clock, random, github }: Shared, process: SimulatedProcess): Health {
  return {
    check: (request, _isCrashing, signal) =>
      faults.effect(process, 'health.check', async () => {
        await clock.sleep(random.integer(1, 300), signal);
        const instance = [...host.instances.values()].find(
          (each) => each.running && request.main.address.endsWith(addressEndOf(each.name)),
        );
        const placed = instance?.placed ?? null;
        if (placed === null) throw new OperatorError('NEVER_LISTENED', 'Nothing listens.');
        if (github.apps.get(placed) === 'unhealthy') throw new OperatorError('UNHEALTHY', 'It answers 500.');
      }),
  };
}

/** The last two octets of an instance's address: enough to tell instances of one simulated host apart. */
function addressEndOf(name: InstanceName): string {
  const slot = Number(name.slice(1));
  return `.${((2 * slot + 1) >> 8) & 255}.${(2 * slot + 1) & 255}`;
}

function routes(world: Shared, process: SimulatedProcess): Routes {
  const { host, faults } = world;
  return {
    observe: (slug) => faults.read(process, () => host.routes.get(slug) ?? null),
    list: () => faults.read(process, () => [...host.routes.values()]),
    ensure: (route) =>
      faults.effect(process, 'routes.ensure', () => {
        noteSwitch(world, route);
        host.routes.set(route.slug, route);
      }),
    remove: (slug) =>
      faults.effect(process, 'routes.remove', () => {
        host.routes.delete(slug);
      }),
    inFlight: async () => 0,
    addressOf: (label) => ({ host: `${label}.test`, url: `https://${label}.test` }),
  };
}

function databases(world: Shared, process: SimulatedProcess): Operator['databases'] {
  const { host, faults } = world;
  return {
    list: () => faults.read(process, () => [...host.databases.keys()]),
    has: (name) => faults.read(process, () => host.databases.has(name)),
    ensure: (database) =>
      faults.effect(process, 'databases.ensure', () => {
        host.databases.set(database.name, database.password);
      }),
    remove: (name) =>
      faults.effect(process, 'databases.remove', () => {
        noteDataLoss(world, name);
        host.databases.delete(name);
      }),
    urlOf: (database, addresses) => `postgresql://${database.name}@${addresses.host}/${database.name}`,
  };
}

function pullOf({ github }: Shared, record: { key: PreviewKey } | undefined): SimulatedPull | undefined {
  const subject = record?.key.subject;
  return subject?.kind === 'pull'
    ? github.repositories.get(record?.key.repositoryId ?? 0)?.pulls.get(subject.number)
    : undefined;
}

/** Data of a pull request that was open and allowed all the time must never go. */
function noteDataLoss(world: Shared, name: DatabaseName): void {
  const pull = pullOf(
    world,
    [...world.state.previews.values()].find((row) => row.database?.name === name),
  );
  if (pull !== undefined && !pull.wasAbsent)
    world.violations.add(`the database of #${pull.number} was removed without a reason`);
}

/** From a delivery to the end of the work that it overtakes: the poll for newer input, and what one operation takes. */
const SUPERSEDED_WITHIN_MS = 1_500;

/** A commit that is known to be overtaken must not be shown as new. */
function noteSwitch(world: Shared, route: PreviewRoute): void {
  const record = [...world.state.previews.values()].find((row) => row.slug === route.slug);
  const pull = pullOf(world, record);
  // Where GitHub fails or answers with old news, or the state fails, we cannot know in time.
  if (pull?.state !== 'open' || route.answering === null || !world.faults.isWell) return;
  const shown = record?.instances.find((instance) => instance.name === route.answering?.instance);
  const knownSince = world.knownHeads.get(pull.sha);
  if (
    shown === undefined ||
    shown.name === record?.answering ||
    shown.revision.sha === pull.sha ||
    knownSince === undefined
  )
    return;
  if (world.clock.elapsedMs - knownSince > SUPERSEDED_WITHIN_MS)
    world.violations.add(`#${pull.number}: an overtaken commit was switched to`);
}
