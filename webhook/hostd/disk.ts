/**
 * A container's disk: a sparse file of the host that holds an ext4 as large as the manifest's `limits.diskMiB`, mounted as the container's root. The
 * guest can fill it, in bytes and in inodes, and nothing else. Each step looks first, may be repeated, and may be cut off anywhere.
 */
import { readdir, rm, stat, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorError } from '../core/errors.ts';
import type { DiskRoom } from '../core/host-verbs.ts';
import { HOST_DISK_RESERVE_MIB, RETRY_MAX_MS } from '../core/limits.ts';
import { mountUnitText } from './definition.ts';
import { must } from './programs.ts';
import { diskDirectory, rootDirectory, unitDirectory, type ContainerPlace } from './settings.ts';

const MIB = 1024 * 1024;
/** What stat(2) counts in, whatever the file system does. */
const blockBytes = 512;

/**
 * An inode for 8 KiB: the files of a node_modules are 5 to 10 KiB large. Half a million of them are then 3% of 4 GiB, of which the file takes none
 * before they are used.
 */
const bytesPerInode = 8_192;

/** Empty, of that size, and mounted as the root when it resolves. Throws RUNTIME_FAILED where the host has no room for it. */
export async function makeDisk(place: ContainerPlace, sizeMiB: number): Promise<void> {
  await hasRoomFor(sizeMiB);
  await writeFile(place.disk, '', { flag: 'wx', mode: 0o600 });
  await truncate(place.disk, sizeMiB * MIB);
  // Nothing is written that a sparse file has anyway (20 ms, 2 MB for 4 GiB), and no block is set aside for the host's root.
  const quick = 'nodiscard,lazy_itable_init=1,lazy_journal_init=1';
  const shape = ['-b', '4096', '-i', String(bytesPerInode), '-m', '0', '-E', quick];
  await must(['mkfs.ext4', '-q', '-F', ...shape, place.disk]);
  await mountDisk(place);
}

/** What is free for disks, and what those that are there may still take of it. */
export async function measureDisks(): Promise<DiskRoom> {
  const names = await readdir(diskDirectory);
  // One that is removed meanwhile takes nothing.
  const disks = await Promise.all(names.map((name) => stat(join(diskDirectory, name)).catch(() => null)));
  const unfilled = disks.map((disk) => (disk === null ? 0 : Math.max(0, disk.size - disk.blocks * blockBytes)));
  return { freeMiB: await freeMiB(), unfilledMiB: Math.floor(unfilled.reduce((sum, bytes) => sum + bytes, 0) / MIB) };
}

async function freeMiB(): Promise<number> {
  const { bavail, bsize } = await statfs(diskDirectory);
  return Math.floor((bavail * bsize) / MIB);
}

async function hasRoomFor(sizeMiB: number): Promise<void> {
  const free = await freeMiB();
  if (free >= sizeMiB + HOST_DISK_RESERVE_MIB) return;
  throw new OperatorError(
    'RUNTIME_FAILED',
    `The host has ${free} MiB of disk left: too little for another ${sizeMiB} MiB and the ${HOST_DISK_RESERVE_MIB} MiB that stay free. ` +
      `It is tried again by itself, at the latest ${RETRY_MAX_MS / 60_000} minutes after there is room: when other previews are closed, or with a smaller limits.diskMiB.`,
  );
}

/** Mounted as the root when it resolves, also after a reboot of the host. */
export async function mountDisk(place: ContainerPlace): Promise<void> {
  if (await isMounted(place)) return;
  await writeFile(join(unitDirectory, place.mountUnit), mountUnitText(place));
  await must(['systemctl', 'start', place.mountUnit]);
}

/** Neither the file nor its mount is there when it resolves; absence is success. Nothing may run in the container. */
export async function removeDisk(place: ContainerPlace): Promise<void> {
  if (await isMounted(place)) await must(['systemctl', 'stop', place.mountUnit]);
  await rm(join(unitDirectory, place.mountUnit), { force: true });
  await rm(place.disk, { force: true });
}

/** The root is in another file system than the folder that it is in. */
async function isMounted(place: ContainerPlace): Promise<boolean> {
  const [root, folder] = await Promise.all([place.root, rootDirectory].map((path) => stat(path).catch(() => null)));
  return root?.dev !== undefined && root.dev !== folder?.dev;
}
