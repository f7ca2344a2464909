/**
 * What the machine must have before it can carry a test host, checked at once so that the error names all that is missing.
 */
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Command → Debian package that brings it. The list of CI's `apt-get install` line. */
const packageOfCommand: Record<string, string> = {
  'systemd-nspawn': 'systemd-container',
  machinectl: 'systemd-container',
  systemctl: 'systemd',
  'dbus-daemon': 'dbus',
  ip: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
  chattr: 'e2fsprogs',
  'mkfs.ext4': 'e2fsprogs',
  perl: 'perl-base',
  caddy: 'caddy',
  nix: 'nix-bin',
  jq: 'jq',
  curl: 'curl',
  ssh: 'openssh-client',
  sshd: 'openssh-server',
  git: 'git',
};

/** Everything the test host needs as Debian packages, also what is there already. */
export const debianPackages: readonly string[] = [
  ...new Set([...Object.values(packageOfCommand), 'postgresql-15']),
].toSorted();

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The newest installed PostgreSQL's program directory (Debian keeps them off the PATH), or undefined. */
export function postgresPrograms(): string | undefined {
  try {
    const versions = readdirSync('/usr/lib/postgresql').toSorted((a, b) => Number(b) - Number(a));
    return versions
      .map((version) => `/usr/lib/postgresql/${version}/bin`)
      .find((path) => isExecutable(join(path, 'postgres')));
  } catch {
    return undefined;
  }
}

/** What whyNoTestHost() looks at; a test gives another. */
export interface Machine {
  readonly searchPath: readonly string[];
  readonly isRoot: boolean;
}

const thisMachine: Machine = {
  searchPath: [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin', '/bin'],
  isRoot: process.getuid?.() === 0,
};

/**
 * Why no test host can run on this machine, or undefined when one can. The text names every missing package and the one
 * command that installs them.
 */
export function whyNoTestHost(machine: Machine = thisMachine): string | undefined {
  if (process.platform !== 'linux') return `the test host needs Linux; this is ${process.platform}`;
  if (!machine.isRoot) return 'the test host needs root: it starts systemd in a container of its own';
  const isInstalled = (command: string): boolean =>
    machine.searchPath.some((path) => isExecutable(join(path, command)));
  const missing = new Set(
    Object.entries(packageOfCommand)
      .filter(([command]) => !isInstalled(command))
      .map(([, name]) => name),
  );
  if (postgresPrograms() === undefined) missing.add('postgresql-15');
  if (missing.size === 0) return undefined;
  const names = [...missing].toSorted().join(' ');
  return `the test host needs Debian packages that are not installed: ${names}\n  apt-get install --no-install-recommends ${names}`;
}
