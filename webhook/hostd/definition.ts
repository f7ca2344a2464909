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
    ...(units === null ? [] : [`BERTH_SETUP=${units.setup}`, `BERTH_APPS="${units.apps.join(' ')}"`]),
    '',
  ].join('\n');
}

/** The limits as confLines wrote them, or null when the conf file is not one of ours. */
export function limitsFromConf(text: string): ContainerLimits | null {
  const [memoryMiB, cpuPercent, tasks] = ['MEMORY_MIB', 'CPU_PERCENT', 'TASKS'].map((key) =>
    Number(new RegExp(`^BERTH_${key}=(\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN),
  );
  if (memoryMiB === undefined || cpuPercent === undefined || tasks === undefined) return null;
  return [memoryMiB, cpuPercent, tasks].every(Number.isInteger) ? { memoryMiB, cpuPercent, tasks } : null;
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

/** Settings of container@NAME.service. */
export function unitSettings(limits: ContainerLimits): string {
  return [
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
