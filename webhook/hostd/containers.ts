/**
 * Containers by the safe sequences of our contract of nixos-container (its section 7), whose traps are named where they are met:
 * stop before destroy, reset-failed before start, a failed start is not a stopped container, an existing root leaks into a new one.
 */
import { appendFile, chown, lstat, mkdir, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorError } from '../core/errors.ts';
import { environmentFileText } from '../core/environment.ts';
import type { ContainerState, HostRequest } from '../core/host-verbs.ts';
import { parseInstanceName, type InstanceName } from '../core/names.ts';
import { makeDisk, mountDisk, removeDisk } from './disk.ts';
import { confLines, limitsFromConf, unitsFromConf, unitSettings } from './definition.ts';
import { must, mustPipe, run } from './programs.ts';
import { containerState, type SeenRuns } from './states.ts';
import {
  confDirectory,
  diskDirectory,
  gcrootDirectory,
  placeOf,
  profileDirectory,
  rootDirectory,
  type ContainerPlace,
  type HostSettings,
} from './settings.ts';

type CreateRequest = Extract<HostRequest, { verb: 'create-container' }>;
type PrepareRequest = Extract<HostRequest, { verb: 'prepare-container' }>;

/** Containers that are made and empty, with what they were made of. Kept in memory alone: it is for the next seconds, and what is forgotten is made anew. */
type PreparedContainers = Map<InstanceName, string>;

const madeOf = ({ system, diskMiB }: { system: string; diskMiB: number }): string => `${system} ${diskMiB}`;

/** `preview` in the guest (server-config/guest). */
const appUid = 1000;

/** TimeoutStartSec of the unit is 60 s. */
const startTimeoutMs = 75_000;
/** TimeoutStopSec as definition.ts sets it, and then the kill. */
const stopTimeoutMs = 30_000;

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** Where containers are made, which are prepared there, and which were seen to run. */
export interface ContainerHost {
  readonly settings: HostSettings;
  readonly prepared: PreparedContainers;
  readonly seen: SeenRuns;
}

/** Makes the container without files, for the `createContainer` that follows. Whatever fails leaves nothing of it. */
export async function prepareContainer(host: ContainerHost, request: PrepareRequest): Promise<null> {
  const place = placeOf(host.settings, request.name);
  await refuseParts(place);
  try {
    await makeEmpty(place, request);
  } catch (error) {
    await removeContainer(host, place.name);
    throw error;
  }
  host.prepared.set(request.name, madeOf(request));
  return null;
}

/** Makes the container and puts the instance's files into its root. Whatever fails leaves nothing of it. */
export async function createContainer(host: ContainerHost, request: CreateRequest): Promise<null> {
  const { settings, prepared } = host;
  const place = placeOf(settings, request.name);
  const ingredients = { system: request.system, diskMiB: request.limits.diskMiB };
  const isPrepared = prepared.get(request.name) === madeOf(ingredients);
  prepared.delete(request.name);
  if (!isPrepared) await refuseParts(place);
  try {
    if (!isPrepared) await makeEmpty(place, ingredients);
    await fillRoot(settings, place, request);
    // Last: a container whose conf lacks our lines was cut off while it was made, and is never started.
    await appendFile(place.conf, confLines(place, request.limits, request.units));
  } catch (error) {
    await removeContainer(host, place.name);
    throw error;
  }
  return null;
}

/** An existing root would be reused, and a namesake's data would be in the new container (contract, section 4). */
async function refuseParts(place: ContainerPlace): Promise<void> {
  for (const part of [place.conf, place.root, place.profile, place.disk]) {
    if (await exists(part))
      throw new OperatorError('RUNTIME_FAILED', `The container ${place.name} exists, or parts of it do.`);
  }
}

/** All of it that is not the instance's own: configuration, system and an empty disk. */
async function makeEmpty(
  place: ContainerPlace,
  { system, diskMiB }: { system: string; diskMiB: number },
): Promise<void> {
  const { host, instance } = place.addresses;
  const words = [`--system-path=${system}`, `--host-address=${host}`, `--local-address=${instance}`];
  await allDone([must(['nixos-container', 'create', place.name, ...words]), makeDisk(place, diskMiB)]);
}

/** Resolves when all have, and throws what the first of them threw when none is under way any more: what follows may undo them. */
async function allDone(works: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(works);
  await Promise.all(works);
}

/** How tar says it: of a file whose last part still had a little room, in the second way. */
const isFullDisk = /No space left on device|Wrote only \d+ of \d+ bytes/;

/** Everything that the guest finds at its first boot. Nothing is written to its root afterwards: from then on it is hostile ground. */
async function fillRoot(
  settings: HostSettings,
  place: ContainerPlace,
  { environment, limits }: CreateRequest,
): Promise<void> {
  const home = join(place.root, 'home/preview');
  const uid = place.uid + appUid;
  await mkdir(join(place.root, 'etc'), { recursive: true, mode: 0o755 });
  await writeFile(join(place.root, 'etc/preview.env'), environmentFileText(environment), { mode: 0o600 });
  await mkdir(home, { recursive: true, mode: 0o755 });
  await chown(home, uid, uid);
  // Read as the operator, written as the guest's own user: neither end can touch more than that user may, whatever the tree holds.
  const { operatorUid, operatorGid, staging } = settings;
  const readable = ['source', 'repository.git'];
  const names = [];
  for (const name of readable) if (await exists(join(staging, place.name, name))) names.push(name);
  if (names.length === 0) throw new OperatorError('RUNTIME_FAILED', `No files are staged for ${place.name}.`);
  await mustPipe(
    {
      argv: ['tar', '--create', '--file=-', '--numeric-owner', ...names],
      cwd: place.staged,
      uid: operatorUid,
      gid: operatorGid,
    },
    { argv: ['tar', '--extract', '--file=-', '--preserve-permissions'], cwd: home, uid, gid: uid },
  ).catch((error: OperatorError) => {
    if (!isFullDisk.test(error.detail ?? '')) throw error;
    throw new OperatorError(
      'SOURCE_REFUSED',
      `The repository, with its history, does not fit on the preview’s disk of ${limits.diskMiB} MiB (limits.diskMiB).`,
    );
  });
  await rename(join(home, 'source'), join(home, 'app'));
}

/** Up and ready when it resolves. On failure it is stopped, and the error has the last lines of its console. */
export async function startContainer(host: ContainerHost, name: InstanceName, signal: AbortSignal): Promise<null> {
  const place = placeOf(host.settings, name);
  const conf = await readFile(place.conf, 'utf8').catch(() => '');
  const limits = limitsFromConf(conf);
  if (limits === null) throw new OperatorError('RUNTIME_FAILED', `The container ${name} does not exist.`);
  await mountDisk(place);
  // Five starts in ten seconds would make this one fail (trap 2). Without a folder of settings there was none: it goes with the container, whose
  // removal resets those of a namesake, and with the host's boot.
  const wasStarted = await exists(place.dropIn);
  await mkdir(place.dropIn, { recursive: true });
  await writeFile(join(place.dropIn, 'berth.conf'), unitSettings(place, limits));
  if (wasStarted) await run(['systemctl', 'reset-failed', place.unit]);
  const started = await run(['nixos-container', 'start', name], { signal, timeoutMs: startTimeoutMs }).catch(
    async (error) => {
      await stopContainer(host, name);
      throw error;
    },
  );
  if (started.status === 0) return null;
  const console = await run(['journalctl', `--unit=${place.unit}`, '--lines=30', '--output=cat', '--no-pager']);
  // systemd goes on trying by itself (trap 3).
  await stopContainer(host, name);
  throw new OperatorError('START_FAILED', 'The container of the preview did not come up.', {
    detail: console.stdout.slice(-4_000),
  });
}

/** The files of a container lie at its root when it resolves with true, also if it has not run since the host's boot. */
export async function openFiles(settings: HostSettings, name: InstanceName): Promise<boolean> {
  const place = placeOf(settings, name);
  if (!(await exists(place.disk))) return false;
  await mountDisk(place);
  return true;
}

/** Not running when it resolves; absence is success. A guest that ignores the request is killed after its time. */
export async function stopContainer({ settings, seen }: ContainerHost, name: InstanceName): Promise<null> {
  // systemd keeps the name of the run until it has ended; from now on it says nothing.
  seen.delete(name);
  await must(['systemctl', 'stop', placeOf(settings, name).unit], { timeoutMs: stopTimeoutMs });
  return null;
}

/** Nothing of it is left when it resolves; absence is success. */
export async function removeContainer(host: ContainerHost, name: InstanceName): Promise<null> {
  const place = placeOf(host.settings, name);
  host.prepared.delete(name);
  // destroy takes a starting container for a stopped one and deletes its files under it (trap 1): stop first, always.
  await stopContainer(host, name);
  await removeDisk(place);
  const destroyed = await run(['nixos-container', 'destroy', name], { timeoutMs: stopTimeoutMs });
  await run(['systemctl', 'reset-failed', place.unit, place.mountUnit]);
  await removeLeftovers(place);
  if (destroyed.status !== 0 && (await exists(place.conf)))
    throw new OperatorError('RUNTIME_FAILED', `The container ${name} could not be removed.`, {
      detail: destroyed.stderr,
    });
  return null;
}

async function removeLeftovers(place: ContainerPlace): Promise<void> {
  for (const path of [place.root, place.profile, place.gcroots, place.lock, place.dropIn, place.conf]) {
    await rm(path, { recursive: true, force: true });
  }
  if (await exists(`/sys/class/net/${place.link}`)) await run(['ip', 'link', 'delete', place.link]);
  // nix-env registers each generation of a profile as a root; Nix itself drops a dangling one with the next collection only.
  await removeLinksInto('/nix/var/nix/gcroots/auto', place.profile);
}

async function removeLinksInto(directory: string, target: string): Promise<void> {
  for (const entry of await readdir(directory).catch(() => [])) {
    const link = join(directory, entry);
    const points = await readlink(link).catch(() => null);
    if (points?.startsWith(`${target}/`) === true) await rm(link, { force: true });
  }
}

/**
 * Every container with a name of ours, whole or in parts, also without a record anywhere; `admitted` are those that the network's rules name. A
 * root of the garbage collector or an element that nothing else is left of counts as leftovers.
 */
export async function listContainers(
  host: ContainerHost,
  admitted: readonly InstanceName[],
): Promise<ContainerState[]> {
  const found = await Promise.all(
    [confDirectory, rootDirectory, diskDirectory, profileDirectory, gcrootDirectory].map((directory) =>
      readdir(directory).catch(() => []),
    ),
  );
  const named = found.flat().map((entry) => parseInstanceName(entry.replace(/\.(conf|ext4)$/, '')));
  const names = new Set([...named.filter((name) => name !== null), ...admitted]);
  return Promise.all(
    [...names].map(
      async (name) => (await observeContainer(host, name, true)) ?? { name, state: 'leftovers', units: [] },
    ),
  );
}

/** What there is of the container; null when nothing is. One that was cut off while it was made counts as leftovers. */
export async function observeContainer(
  { settings, prepared, seen }: ContainerHost,
  name: InstanceName,
  isGuestAsked: boolean,
): Promise<ContainerState | null> {
  const place = placeOf(settings, name);
  const parts = await Promise.all([place.conf, place.root, place.disk, place.profile].map(exists));
  if (!parts.includes(true)) return null;
  const text = parts.includes(false) ? '' : await readFile(place.conf, 'utf8');
  if (limitsFromConf(text) === null) return { name, state: prepared.has(name) ? 'prepared' : 'leftovers', units: [] };
  return containerState(place, isGuestAsked ? unitsFromConf(text).apps : [], seen);
}
