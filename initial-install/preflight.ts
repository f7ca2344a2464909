import type { HostEntry } from './hosts-file.ts';
import type { DiskFacts, MachineFacts } from './machine-facts.ts';

/** One thing that was looked at before anything is written. A ✗ ends the installation; a ⚠ is for the person to weigh. */
export interface Check {
  readonly mark: '✓' | '⚠' | '✗';
  readonly text: string;
}

/** nixos-anywhere's installer lives in memory: about 1 GB, and the first build beside it. */
const memoryMinBytes = 1.5e9;
/** A disk that could have been meant; smaller ones are the provider's. */
const diskMinBytes = 8e9;

/** Compares the machine with its entry. Each ✗ names the key, what the file says and what the machine has. */
export function preflight(host: HostEntry, facts: MachineFacts): Check[] {
  const same = (key: string, wanted: string, found: string): Check =>
    wanted === found
      ? { mark: '✓', text: `${key}: ${found}` }
      : { mark: '✗', text: `${key}: the file says ${wanted}, the machine has ${found}` };
  return [
    same('system', host.system, facts.system),
    same('firmware', host.firmware, facts.firmware),
    ...checkDisks(host, facts.disks),
    ...unusedDisks(host, facts.disks),
    facts.uplink === undefined
      ? { mark: '✗', text: 'network: the machine has no default route' }
      : same(`network.mac (${facts.uplink.interface})`, host.network.mac, facts.uplink.mac),
    ...addressesNotKept(host, facts),
    facts.memoryBytes >= memoryMinBytes
      ? { mark: '✓', text: `memory: ${gigabytes(facts.memoryBytes)}` }
      : { mark: '⚠', text: `memory: ${gigabytes(facts.memoryBytes)} is little for the installer, which lives in it` },
  ];
}

/** The disks alone: asked again in the installer, where they may have changed their names. */
export function checkDisks(host: HostEntry, disks: readonly DiskFacts[]): Check[] {
  return host.disks.devices.map(({ path, serial }, index) => {
    const key = `disks.devices[${index}]`;
    const disk = disks.find(({ stablePaths }) => stablePaths.includes(path));
    if (!disk) return { mark: '✗', text: `${key}.path: the machine has no ${path}` };
    if (disk.serial === serial)
      return { mark: '✓', text: `${key}: ${serial}, ${gigabytes(disk.sizeBytes)}, ${disk.model ?? 'no model'}` };
    return { mark: '✗', text: `${key}.serial: the file says ${serial}, ${path} is ${disk.serial ?? 'without one'}` };
  });
}

function unusedDisks(host: HostEntry, disks: readonly DiskFacts[]): Check[] {
  const used = new Set(host.disks.devices.map(({ path }) => path));
  return disks
    .filter(({ sizeBytes, stablePaths }) => sizeBytes >= diskMinBytes && !stablePaths.some((path) => used.has(path)))
    .map(({ path, serial, sizeBytes }) => ({
      mark: '⚠',
      text: `${path} (${serial ?? 'no serial'}, ${gigabytes(sizeBytes)}) is not used by this layout`,
    }));
}

/** By DHCP or by the file, the machine should answer afterwards where it answers now. */
function addressesNotKept(host: HostEntry, facts: MachineFacts): Check[] {
  const kept = host.network.addresses;
  if (kept.length === 0) return [{ mark: '✓', text: 'network: addresses by DHCP' }];
  return (facts.uplink?.addresses ?? [])
    .filter((address) => !kept.includes(address))
    .map((address) => ({
      mark: '⚠',
      text: `network.addresses: the machine has ${address} now, and will not afterwards`,
    }));
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(0)} GB`;
}
