/** The text that makes a container ours: what is appended to its conf file, and the settings of its unit. Pure; golden-tested. */
import type { ContainerLimits, GuestUnits } from '../core/host-verbs.ts';
import { uidsPerContainer, type ContainerPlace } from './settings.ts';

/**
 * Capabilities that a guest has no use for. What stays (among it SYS_ADMIN, which systemd as PID 1 needs) is a capability over the guest's own
 * user namespace, not over the host.
 */
const droppedCapabilities = [
  'CAP_AUDIT_CONTROL',
  'CAP_AUDIT_WRITE',
  'CAP_LEASE',
  'CAP_MKNOD',
  'CAP_NET_BROADCAST',
  'CAP_NET_RAW',
  'CAP_SYS_PTRACE',
  'CAP_SYS_TTY_CONFIG',
];

/** System calls with a history of kernel holes, beyond what nspawn refuses by itself. Each with `~`: refused with EPERM. */
const refusedSystemCalls = [
  '@keyring',
  'bpf',
  'io_uring_enter',
  'io_uring_register',
  'io_uring_setup',
  'perf_event_open',
  'userfaultfd',
];

/** Flags for systemd-nspawn. The stand-in and NixOS split them at blanks, so that none may hold one. */
export function nspawnFlags(place: Pick<ContainerPlace, 'uid'>): string[] {
  return [
    `--private-users=${place.uid}:${uidsPerContainer}`,
    // Files belong to the range on disk: no file of a guest is ever one of a user of the host.
    '--private-users-ownership=chown',
    '--no-new-privileges=yes',
    `--drop-capability=${droppedCapabilities.join(',')}`,
    ...refusedSystemCalls.map((call) => `--system-call-filter=~${call}`),
    // The unit asks for a link from the host's journals to the guest's. nspawn, as root of the host, then makes /var/log/journal in the guest's root, by a
    // path that the guest may have made a link of; and whoever reads the host's journals would walk through it.
    '--link-journal=no',
    // The unit binds the Nix daemon's socket into every container; a preview has no business with it.
    '--inaccessible=/nix/var/nix/daemon-socket',
  ];
}

/** Lines for the conf file, after the six that nixos-container writes. The limits are there to outlive a reboot; systemd ignores them. */
export function confLines(
  place: Pick<ContainerPlace, 'uid'>,
  limits: ContainerLimits,
  units: GuestUnits | null,
): string {
  return [
    `EXTRA_NSPAWN_FLAGS="${nspawnFlags(place).join(' ')}"`,
    `BERTH_MEMORY_MIB=${limits.memoryMiB}`,
    `BERTH_CPU_PERCENT=${limits.cpuPercent}`,
    `BERTH_TASKS=${limits.tasks}`,
    `BERTH_DISK_MIB=${limits.diskMiB}`,
    ...(units === null ? [] : [`BERTH_SETUP=${units.setup}`, `BERTH_APPS="${units.apps.join(' ')}"`]),
    '',
  ].join('\n');
}

/** The limits as confLines wrote them, or null when the conf file is not one of ours. */
export function limitsFromConf(text: string): ContainerLimits | null {
  const valueOf = (key: string) => Number(new RegExp(`^BERTH_${key}=(\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  const limits = {
    memoryMiB: valueOf('MEMORY_MIB'),
    cpuPercent: valueOf('CPU_PERCENT'),
    tasks: valueOf('TASKS'),
    diskMiB: valueOf('DISK_MIB'),
  };
  return Object.values(limits).every(Number.isInteger) ? limits : null;
}

/** The units of the app as systemctl and journalctl take them: those of server-config/guest/manifest.nix, or those that the conf file names. */
export function unitsFromConf(text: string): { setup: string; apps: readonly string[] } {
  const setup = /^BERTH_SETUP=([a-z][a-z0-9-]*)$/m.exec(text)?.[1];
  const apps = /^BERTH_APPS="([a-z0-9 -]*)"$/m.exec(text)?.[1];
  if (setup === undefined || apps === undefined) return { setup: 'setup-preview.service', apps: ['app-*.service'] };
  const names = apps.split(' ').filter((name) => name !== '');
  return { setup: `${setup}.service`, apps: names.map((name) => `${name}.service`) };
}

/** The guest's own systemd, journal and bus run beside the app and count as tasks of the container. */
const guestTasks = 64;
const guestMemoryMiB = 64;

/**
 * Where the host walks in a container's root as root of the host, at every start, also of a guest that has run and may have put links there:
 * container@.service makes folders and changes their modes (nixos/modules/virtualisation/nixos-containers.nix, startScript; it looks at etc/os-release
 * itself), systemd-nspawn mounts. nspawn 252 resolves most of that inside of the root, but not all: it makes devices in what `dev` leads to.
 */
const walkedByHost = [
  'usr',
  'usr/bin',
  'etc',
  'etc/machine-id',
  'var',
  'var/lib',
  'var/lib/private',
  'root',
  'dev',
  'proc',
  'run',
  'sys',
  'tmp',
  'var/log',
  'var/log/journal',
  'nix',
  'nix/store',
  'nix/var',
  'nix/var/nix',
  'nix/var/nix/db',
  'nix/var/nix/daemon-socket',
  'nix/var/nix/profiles',
  'nix/var/nix/gcroots',
];

/** Settings of container@NAME.service. */
export function unitSettings(place: Pick<ContainerPlace, 'root'>, limits: ContainerLimits): string {
  return [
    '[Unit]',
    // Looked at before each start, also one that the guest brings about by a reboot; nothing of the guest runs at that moment.
    ...walkedByHost.map((path) => `AssertPathIsSymbolicLink=!${place.root}/${path}`),
    // May be a link, which is then replaced; unless it leads to a directory, into which the host would copy its own.
    `AssertPathIsDirectory=!${place.root}/etc/resolv.conf`,
    '',
    '[Service]',
    `MemoryMax=${limits.memoryMiB + guestMemoryMiB}M`,
    'MemorySwapMax=0',
    `CPUQuota=${limits.cpuPercent}%`,
    `TasksMax=${limits.tasks + guestTasks}`,
    'LimitCORE=0',
    // A guest that ignores the request to halt is killed then; systemd's default is 90 s.
    'TimeoutStopSec=10s',
    '',
  ].join('\n');
}

/**
 * The unit that mounts a container's disk as its root. systemd does it, because a mount that hostd made would stay in hostd's own mount namespace; and
 * it does so before any start of the container, whose unit requires what its root is mounted from.
 */
export function mountUnitText(place: Pick<ContainerPlace, 'name' | 'disk' | 'root'>): string {
  return [
    '[Unit]',
    `Description=Disk of container ${place.name}`,
    // The same name may come and go often in a test; a mount that fails is not tried again by itself.
    'StartLimitIntervalSec=0',
    '',
    '[Mount]',
    `What=${place.disk}`,
    `Where=${place.root}`,
    'Type=ext4',
    // noinit_itable: the kernel would fill the inode tables of a sparse file with zeros that it has anyway. discard: what the guest deletes, the
    // host gets back.
    'Options=loop,nosuid,nodev,noinit_itable,discard',
    // Whoever still reads a journal in it holds up nobody.
    'LazyUnmount=yes',
    'TimeoutSec=20s',
    '',
  ].join('\n');
}
