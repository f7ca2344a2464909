/** The steps that bring a commit up, in reading order. Each looks at the facts, acts, and saves what is then true; each may be repeated. */
import { assumedManifestFrom, MANIFEST_FILE, manifestFromToml, type AppManifest } from '../core/app-manifest.ts';
import { environmentFrom } from '../core/environment.ts';
import { seedFrom, seedHashOf, type DatabaseSeed } from '../core/database-seed.ts';
import { OperatorError } from '../core/errors.ts';
import { manifestFromMeta, PREVIEW_CONFIG_FILE } from '../core/preview-config.ts';
import { HEALTH_TIMEOUT_DEFAULT_MS, MANIFEST_MAX_BYTES, RESTART_FIRST_MS, SEED_MAX_BYTES } from '../core/limits.ts';
import {
  databaseNameOf,
  hostLabelOf,
  slugCandidates,
  templateNameOf,
  type DatabaseName,
  type HostLabel,
  type Slug,
} from '../core/names.ts';
import { DONE, NOT_NEEDED, type StepResult } from '../core/outcome.ts';
import {
  answeringInstance,
  databaseMaxBytes,
  type InstanceRecord,
  type PreviewRecord,
  type Upstream,
} from '../core/preview.ts';
import type { Revision } from '../core/pull-request.ts';
import { routeHostsOf, type PreviewRoute } from '../core/preview-route.ts';
import type { InstanceSpec, Operator, PreviewLock, SourceRequest } from '../ports.ts';

/** What a step of a bring-up is given. `record` is as it was when its stage began. */
export interface BringUp {
  readonly lock: PreviewLock;
  readonly record: PreviewRecord;
  readonly revision: Revision;
  /** The instance worked on; null before create-instance. */
  readonly instance: InstanceRecord | null;
  /** Its services were started by the step before. */
  readonly justStarted: boolean;
  readonly signal: AbortSignal;
}

/** The preview has its slug: the first candidate that nobody else has. Throws SLUG_UNAVAILABLE. */
export async function claimNames(op: Pick<Operator, 'store'>, work: BringUp): Promise<StepResult> {
  await op.store.claimSlug(work.lock, slugCandidates(work.record.repository, work.record.key));
  return DONE;
}

/** The URL answers from here on, with the status page until there is something to show. */
export async function openRoute(op: Pick<Operator, 'routes'>, work: BringUp): Promise<StepResult> {
  const slug = slugOf(work.record);
  await op.routes.ensure({ slug, hosts: [{ label: hostLabelOf(slug), routes: [] }], answering: null });
  return DONE;
}

/** The commit is in the host’s mirror of its repository; nothing of it has been run. */
export async function fetchSource(op: Pick<Operator, 'sources'>, work: BringUp): Promise<StepResult> {
  await op.sources.ensure(sourceOf(work), work.signal);
  return DONE;
}

/** A record with a slot of its own; nothing on the host yet. Throws SLOTS_EXHAUSTED. */
export async function createInstance(op: Pick<Operator, 'store'>, work: BringUp): Promise<StepResult> {
  await op.store.createInstance(work.lock, work.revision);
  return DONE;
}

/** Reads what the app needs from the commit itself, and refuses secrets and host names that it may not have before anything is made. */
export async function readManifest(
  op: Pick<Operator, 'store' | 'sources' | 'secrets' | 'runtime'>,
  work: BringUp,
): Promise<StepResult> {
  const instance = instanceOf(work);
  const { manifest, assumptions } = await manifestOf(op, sourceOf(work), work.signal);
  await op.secrets.read(work.record.repository, manifest.secrets);
  await claimHosts(op, work, manifest);
  const path = manifest.databaseSeed;
  const seeded = path === undefined ? {} : { seedHash: seedHashOf(await readSeed(op, work, path)) };
  await op.store.saveInstance(work.lock, instance.name, { manifest: { ...manifest, ...seeded }, assumptions });
  return DONE;
}

async function readSeed(op: Pick<Operator, 'sources'>, work: BringUp, path: string): Promise<string> {
  return seedFrom(path, await op.sources.readFile(sourceOf(work), path, SEED_MAX_BYTES));
}

/** preview.toml, or else preview-config.nix, or else what a Node.js project usually needs. */
export async function manifestOf(
  op: Pick<Operator, 'sources' | 'runtime'>,
  source: SourceRequest,
  signal: AbortSignal,
): Promise<{ manifest: AppManifest; assumptions: string[] }> {
  const text = await op.sources.readFile(source, MANIFEST_FILE, MANIFEST_MAX_BYTES);
  if (text !== null) {
    const result = manifestFromToml(text);
    if (!result.ok)
      throw new OperatorError('MANIFEST_INVALID', 'preview.toml does not say what it should.', {
        detail: result.problems.join('\n'),
      });
    return { manifest: result.manifest, assumptions: [] };
  }
  const config = await op.sources.readFile(source, PREVIEW_CONFIG_FILE, MANIFEST_MAX_BYTES);
  if (config !== null)
    return { manifest: manifestFromMeta(await op.runtime.readConfig(config, signal), config), assumptions: [] };
  const packageText = await op.sources.readFile(source, 'package.json', MANIFEST_MAX_BYTES * 16);
  const files = {
    lock: await op.sources.hasFile(source, 'package-lock.json'),
    server: await op.sources.hasFile(source, 'server.js'),
  };
  const assumed = packageText === null ? null : assumedManifestFrom(parsedJson(packageText), files);
  if (assumed === null)
    throw new OperatorError(
      'MANIFEST_MISSING',
      'There is no preview.toml, and no package.json with a start script or a server.js beside it.',
    );
  return assumed;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new OperatorError('MANIFEST_MISSING', 'There is no preview.toml, and package.json is not valid JSON.', {
      cause: error,
    });
  }
}

/** The tree and a repository to clone lie where the runtime wants them. */
export async function placeSource(
  op: Pick<Operator, 'store' | 'runtime' | 'sources' | 'clock'>,
  work: BringUp,
): Promise<StepResult> {
  const { name } = instanceOf(work);
  // What is there already belonged to somebody else, whose data must not leak into this instance, or has what an unfinished setup left.
  if ((await op.runtime.observe(name)) !== null) await op.runtime.remove(name);
  const directory = await op.runtime.ensureDirectory(name);
  await op.sources.place(sourceOf(work), directory, work.signal);
  await op.store.saveInstance(work.lock, name, { sourcePlacedAt: op.clock.now() });
  return DONE;
}

const MIB = 1024 * 1024;

/**
 * The password is stored before the role is made, so that a repetition makes the same one. Throws SEED_FAILED, and DATABASE_TOO_LARGE, also for a
 * preview that is live: that is how its people are told.
 */
export async function ensureDatabase(
  op: Pick<Operator, 'store' | 'databases' | 'sources' | 'random'>,
  work: BringUp,
): Promise<StepResult> {
  if (manifestIn(work).database !== 'host') return NOT_NEEDED;
  const database = work.record.database ?? {
    name: databaseNameOf(slugOf(work.record)),
    password: op.random.password(),
  };
  if (work.record.database === null) await op.store.saveDatabase(work.lock, database);
  await op.databases.ensure(database, seedOf(op, work));
  await limitDatabase(op, work, database.name);
  return DONE;
}

function seedOf(op: Pick<Operator, 'sources'>, work: BringUp): DatabaseSeed | undefined {
  const { databaseSeed: path, seedHash, limits } = manifestIn(work);
  if (path === undefined || seedHash === undefined) return undefined;
  return {
    template: templateNameOf(work.record.key.repositoryId, seedHash),
    path,
    read: () => readSeed(op, work, path),
    maxBytes: limits.databaseMiB * MIB,
    signal: work.signal,
  };
}

/** Throws DATABASE_TOO_LARGE; then the database is closed. */
async function limitDatabase(op: Pick<Operator, 'databases'>, work: BringUp, name: DatabaseName): Promise<void> {
  const maxBytes = databaseMaxBytes(work.record);
  const bytes = maxBytes === null ? null : await op.databases.limitSize(name, maxBytes);
  if (maxBytes !== null && bytes !== null && bytes > maxBytes)
    throw new OperatorError(
      'DATABASE_TOO_LARGE',
      `The database holds ${Math.ceil(bytes / MIB)} MiB and may hold ${maxBytes / MIB}; nobody can connect to it.`,
    );
}

/** Why the app failed, where that may be that the sweep closed its database meanwhile: then it is said, and tried again when it fits. */
async function causeOf(op: Pick<Operator, 'databases'>, work: BringUp, error: unknown): Promise<unknown> {
  const { database } = work.record;
  if (work.signal.aborted || database === null || manifestIn(work).database !== 'host') return error;
  return limitDatabase(op, work, database.name).then(
    () => error,
    (closed: unknown) => (closed instanceof OperatorError && closed.code === 'DATABASE_TOO_LARGE' ? closed : error),
  );
}

/**
 * The system that the manifest asks for is built, where the runtime has such a thing, and the instance made of it as far as that goes without its files.
 * Throws BUILD_FAILED and what a refused preview-config.nix throws.
 */
export async function buildSystem(op: Pick<Operator, 'store' | 'runtime'>, work: BringUp): Promise<StepResult> {
  const { name } = instanceOf(work);
  const manifest = manifestIn(work);
  const built = await op.runtime.buildSystem(manifest, work.signal);
  if (built === null) return NOT_NEEDED;
  await op.store.saveInstance(work.lock, name, { system: built.path, isSystemCached: built.isCached });
  await op.runtime.prepare({ name, system: built.path, manifest });
  return DONE;
}

/**
 * The app’s setup, if it has one, has run to its end once, on files as they were placed: while it runs they count as not placed, so that one that was cut off
 * leads to new ones, whoever comes after it. Throws SETUP_FAILED with its last lines.
 */
export async function setUp(op: Operator, work: BringUp): Promise<StepResult> {
  const { name, sourcePlacedAt } = instanceOf(work);
  const hasSetup = manifestIn(work).setup !== undefined;
  if (hasSetup) {
    const [spec] = await Promise.all([
      specOf(op, work),
      op.store.saveInstance(work.lock, name, { sourcePlacedAt: null }),
    ]);
    await op.runtime.setUp(spec, work.signal).catch(async (error: unknown) => {
      throw await causeOf(op, work, error);
    });
  }
  await op.store.saveInstance(work.lock, name, { sourcePlacedAt, setUpAt: op.clock.now() });
  return hasSetup ? DONE : NOT_NEEDED;
}

/** Health is a fact about running processes: it is forgotten before they are started again. */
export async function start(op: Operator, work: BringUp): Promise<StepResult> {
  await op.store.saveInstance(work.lock, instanceOf(work).name, { healthyAt: null });
  await op.runtime.start(await specOf(op, work), work.signal);
  return DONE;
}

/** Restarts after which a service that does not run is said to crash: one may be a race with another service at start. */
const CRASHES = 2;
/** So soon after its start no service can have ended so often, for the pauses between. To ask takes two processes, from an app that is about to answer. */
const CRASHES_AFTER_MS = RESTART_FIRST_MS + 2 * RESTART_FIRST_MS;

export async function checkHealth(
  op: Pick<Operator, 'store' | 'runtime' | 'routes' | 'health' | 'databases' | 'clock'>,
  work: BringUp,
): Promise<StepResult> {
  const instance = instanceOf(work);
  const manifest = manifestIn(work);
  const upstreams = op.runtime.upstreamsOf({ slot: instance.slot, manifest });
  const all = Object.values(upstreams);
  const main = mainUpstream(manifest, upstreams);
  const since = op.clock.now().getTime();
  const isCrashing = async () => {
    if (work.justStarted && op.clock.now().getTime() - since < CRASHES_AFTER_MS) return null;
    const services = (await op.runtime.observe(instance.name, { services: true }))?.services ?? [];
    const crashing = services.find((service) => service.state !== 'running' && service.restarts >= CRASHES);
    return crashing === undefined ? null : `The service ${crashing.name} ended ${crashing.restarts + 1} times.`;
  };
  try {
    await op.health.check(
      {
        upstreams: all,
        main,
        path: manifest.health?.path ?? '/',
        declared: manifest.health !== undefined,
        timeoutMs: manifest.health === undefined ? HEALTH_TIMEOUT_DEFAULT_MS : manifest.health.timeoutSeconds * 1_000,
        host: op.routes.addressOf(hostLabelOf(slugOf(work.record))).host,
      },
      isCrashing,
      work.signal,
    );
  } catch (error) {
    throw await causeOf(op, work, await withLastLines(op, instance, error, work.signal));
  }
  await op.store.saveInstance(work.lock, instance.name, { healthyAt: op.clock.now(), upstreams });
  return DONE;
}

/** The instance answers at the preview's URL when this resolves; whatever the one before has in flight it finishes. */
export async function switchRoute(
  op: Pick<Operator, 'store' | 'runtime' | 'routes' | 'clock'>,
  work: BringUp,
): Promise<StepResult> {
  const instance = instanceOf(work);
  const manifest = manifestIn(work);
  const slug = slugOf(work.record);
  const claimed = await claimHosts(op, work, manifest);
  await op.routes.ensure(routeOf(op, slug, instance, manifest));
  await op.store.saveSwitch(work.lock, instance.name, op.clock.now());
  const hosts = hostLabelsOf(slug, manifest);
  if (claimed.length > hosts.length) await op.store.claimHosts(work.lock, hosts);
  return DONE;
}

/** Host names of the instance to come and of the one that is shown: both are the preview's until the switch is done. */
async function claimHosts(op: Pick<Operator, 'store'>, work: BringUp, manifest: AppManifest): Promise<HostLabel[]> {
  const slug = slugOf(work.record);
  const shown = answeringInstance(work.record)?.manifest ?? manifest;
  const hosts = [...new Set([...hostLabelsOf(slug, manifest), ...hostLabelsOf(slug, shown)])];
  await op.store.claimHosts(work.lock, hosts);
  return hosts;
}

function routeOf(
  op: Pick<Operator, 'runtime'>,
  slug: Slug,
  instance: InstanceRecord,
  manifest: AppManifest,
): PreviewRoute {
  return {
    slug,
    hosts: routeHostsOf(slug, manifest),
    answering: { instance: instance.name, upstreams: op.runtime.upstreamsOf({ slot: instance.slot, manifest }) },
  };
}

/** All host labels of a preview with this manifest, the main one first. */
export function hostLabelsOf(slug: Slug, manifest: AppManifest): HostLabel[] {
  return routeHostsOf(slug, manifest).map(({ label }) => label);
}

/** The service that answers `/`, or else the first that is routed. */
function mainUpstream(manifest: AppManifest, upstreams: Readonly<Record<string, Upstream>>): Upstream {
  const port = (manifest.routes.find((route) => route.path === '/') ?? manifest.routes[0])?.port;
  const main = upstreams[String(port)];
  if (main === undefined) throw new OperatorError('INTERNAL', `No upstream for port ${port}.`);
  return main;
}

/** What the runtime needs to know of an instance whose manifest was read. */
export async function specOf(op: Operator, work: Pick<BringUp, 'record' | 'instance'>): Promise<InstanceSpec> {
  const { record } = work;
  const instance = instanceOf(work);
  const manifest = manifestIn(work);
  const addresses = op.runtime.addressesOf(instance.slot);
  const environment = environmentFrom({
    manifest,
    revision: instance.revision,
    url: op.routes.addressOf(hostLabelOf(slugOf(record))).url,
    repositoryUrl: op.runtime.repositoryUrlOf(instance.name),
    databaseUrl:
      manifest.database === 'host' && record.database !== null ? op.databases.urlOf(record.database, addresses) : null,
    secrets: await op.secrets.read(record.repository, manifest.secrets),
  });
  return {
    name: instance.name,
    slot: instance.slot,
    addresses,
    revision: instance.revision,
    manifest,
    system: instance.system,
    environment,
  };
}

const HEALTH_TAIL_LINES = 15;

/** A health failure with what the app printed last, which is usually the reason. */
async function withLastLines(
  op: Pick<Operator, 'runtime'>,
  instance: InstanceRecord,
  error: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  if (signal.aborted || !(error instanceof OperatorError) || error.detail !== undefined) return error;
  const lines: string[] = [];
  for await (const line of op.runtime.logs(instance.name, { follow: false, tailLines: HEALTH_TAIL_LINES, signal })) {
    if (line.source !== 'setup') lines.push(`${line.source}: ${line.text}`);
  }
  const { code, message, hint, retry, cause } = error;
  return new OperatorError(code, message, {
    hint,
    retry,
    cause,
    ...(lines.length === 0 ? {} : { detail: lines.slice(-HEALTH_TAIL_LINES).join('\n') }),
  });
}

function sourceOf(work: BringUp): SourceRequest {
  return { key: work.record.key, repository: work.record.repository, revision: work.revision };
}

function slugOf(record: PreviewRecord): Slug {
  if (record.slug === null)
    throw new OperatorError('INTERNAL', 'A step needs the name of the preview before it was claimed.');
  return record.slug;
}

function instanceOf(work: Pick<BringUp, 'instance'>): InstanceRecord {
  if (work.instance === null) throw new OperatorError('INTERNAL', 'A step needs an instance before it was created.');
  return work.instance;
}

function manifestIn(work: Pick<BringUp, 'instance'>): AppManifest {
  const { manifest } = instanceOf(work);
  if (manifest === null) throw new OperatorError('INTERNAL', 'A step needs the manifest before it was read.');
  return manifest;
}
