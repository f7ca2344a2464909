import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Evaluator, evaluateJson, findEvaluator, repositoryRoot } from '../../scripts/nix/evaluation.ts';

/**
 * The single-disk layouts, formatted and mounted for real: the scripts that disko makes of them, run against an image file. Mirrors and
 * encryption need md and device-mapper, which the machine this was written on does not have; they are evaluated only.
 */
const evaluator = findEvaluator();
const programs = ['sgdisk', 'mkfs.vfat', 'mkfs.xfs', 'mkfs.btrfs', 'partprobe', 'losetup', 'unshare'];
const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined);
const skip =
  typeof evaluator === 'string'
    ? evaluator
    : process.getuid?.() !== 0
      ? 'needs root, for loop devices'
      : missing.length > 0
        ? `needs ${missing.join(', ')} (apt-get install gdisk dosfstools xfsprogs btrfs-progs parted)`
        : false;

async function scriptsOf(
  found: Evaluator,
  firmware: string,
  fileSystem: string,
): Promise<{ create: string; mount: string }> {
  const tree = (path: string) => `(/. + ${JSON.stringify(path)})`;
  const scripts = (await evaluateJson(
    found,
    `let
      d = import (root + "/test/nix/disk-layouts.nix") { inherit t root; nixpkgs = ${tree(found.nixpkgs)}; disko = ${tree(found.disko)}; };
      devices = (d.firstBoot [
        (d.layout "single-disk" { devices = [ "/dev/disk/by-id/first" ]; firmware = "${firmware}"; fileSystem = "${fileSystem}"; })
        { disko.rootMountPoint = "/mnt/target"; berth.adminKeys = [ "ssh-ed25519 AAAA x" ]; nixpkgs.hostPlatform = "x86_64-linux"; }
      ]).disko.devices;
    in { create = devices._create; mount = devices._mount; }`,
  )) as { create: string; mount: string };
  return scripts;
}

async function format(firmware: string, fileSystem: string, mounts: boolean): Promise<string[]> {
  assert.ok(typeof evaluator !== 'string');
  const scripts = await scriptsOf(evaluator, firmware, fileSystem);
  const folder = mkdtempSync(join(tmpdir(), 'berth-format-'));
  try {
    writeFileSync(join(folder, 'create.sh'), scripts.create);
    writeFileSync(join(folder, 'mount.sh'), scripts.mount);
    const script = join(repositoryRoot, 'test/nix/format-a-disk.sh');
    const args = [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      'bash',
      script,
      folder,
      join(folder, 'create.sh'),
      mounts ? join(folder, 'mount.sh') : '',
    ];
    const run = spawnSync('unshare', args, { encoding: 'utf8', timeout: 120_000 });
    assert.equal(run.status, 0, run.stderr);
    return run.stdout.trim().split('\n');
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

test('single disk, BIOS, ext4: formatted and mounted for real', { skip }, async () => {
  assert.deepEqual(await format('bios', 'ext4', true), [
    'disk-first-bios none',
    'disk-first-boot ext4',
    'disk-first-root ext4',
    '/mnt/target ext4',
    '/mnt/target/boot ext4',
    'reflink no',
  ]);
});

test('single disk, BIOS, xfs: copies share their blocks', { skip }, async () => {
  assert.deepEqual((await format('bios', 'xfs', true)).slice(2), [
    'disk-first-root xfs',
    '/mnt/target xfs',
    '/mnt/target/boot ext4',
    'reflink yes',
  ]);
});

test('single disk, BIOS, btrfs: subvolumes, and copies share their blocks', { skip }, async () => {
  assert.deepEqual((await format('bios', 'btrfs', true)).slice(2), [
    'disk-first-root btrfs',
    '/mnt/target btrfs',
    '/mnt/target/boot ext4',
    '/mnt/target/nix btrfs',
    '/mnt/target/var btrfs',
    'reflink yes',
  ]);
});

test('single disk, UEFI: the system partition is FAT', { skip }, async () => {
  assert.deepEqual(await format('uefi', 'xfs', false), ['disk-first-esp vfat', 'disk-first-root xfs']);
});
