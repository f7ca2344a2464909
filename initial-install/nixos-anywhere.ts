import { join, resolve } from 'node:path';
import type { HostEntry } from './hosts-file.ts';

/** The phases of nixos-anywhere that we run one by one, with our own checks between them. */
export const installPhases = ['kexec', 'disko', 'install'] as const;
export type InstallPhase = (typeof installPhases)[number];

/** Where the disk layouts expect the passphrase while they encrypt (disk-layouts/parts.nix). */
const passphrasePath = '/run/berth-disk-passphrase';

export interface Workplace {
  /** A copy of server-config and initial-install, with the user's hosts.toml in it. */
  readonly source: string;
  /** Files that go to the root of the installed system. */
  readonly extraFiles: string;
  readonly passphraseFile: string | undefined;
}

/** Where everything of one run lies, below a folder of its own. */
export function workplaceIn(folder: string, passphraseFile: string | undefined): Workplace {
  return {
    source: join(folder, 'source'),
    extraFiles: join(folder, 'extra-files'),
    passphraseFile: passphraseFile && resolve(passphraseFile),
  };
}

/**
 * The command of one phase. `path:…?dir=` makes the whole copy the flake's tree, for initial-install reads files of
 * server-config by relative path. The program is nixpkgs' own, by way of our flake.
 */
export function phaseCommand(
  phase: InstallPhase,
  name: string,
  host: HostEntry,
  place: Workplace,
): [string, ...string[]] {
  const flake = `path:${place.source}?dir=initial-install`;
  const secrets =
    host.disks.encrypted && place.passphraseFile
      ? ['--disk-encryption-keys', passphrasePath, place.passphraseFile]
      : [];
  const ofPhase: Record<InstallPhase, string[]> = {
    kexec: ['--phases', 'kexec'],
    disko: ['--phases', 'disko', ...secrets],
    install: [
      '--phases',
      'install,reboot',
      '--copy-host-keys',
      ...(host.disks.encrypted ? ['--extra-files', place.extraFiles] : []),
    ],
  };
  return [
    'nix',
    '--extra-experimental-features',
    'nix-command flakes',
    'run',
    `${flake}#nixos-anywhere`,
    '--',
    '--flake',
    `${flake}#${name}`,
    '--build-on',
    'remote',
    ...ofPhase[phase],
    '--target-host',
    `root@${host.address}`,
  ];
}

/** Creates the initrd's own host key, for machines whose disks are unlocked over SSH. */
export function initrdKeyCommand(place: Workplace, name: string): [string, ...string[]] {
  const file = initrdKeyFile(place);
  return ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', `initrd of ${name}`, '-f', file];
}

/** Private part; its public part lies beside it with `.pub`. */
export function initrdKeyFile(place: Workplace): string {
  return join(place.extraFiles, 'etc', 'secrets', 'initrd', 'ssh_host_ed25519_key');
}
