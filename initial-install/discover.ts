import { mkdtempSync, rmSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'smol-toml';
import { exitStatus, InstallFailure } from './failure.ts';
import type { MachineFacts } from './machine-facts.ts';
import { PinnedSsh } from './pinned-ssh.ts';

/**
 * Prints the entry of a machine in the rescue system, ready for hosts.toml: what could be seen is filled in, what only a
 * person can say (name, keys, which disks) is left to them. Changes nothing on the machine.
 */
export async function printDiscovery(
  address: string,
  options: { fingerprint: string; identity?: string },
  askFacts: (ssh: PinnedSsh) => Promise<MachineFacts>,
): Promise<void> {
  if (isIP(address) === 0) throw new InstallFailure(exitStatus.usage, `'${address}' is not an IP address`, '');
  const folder = mkdtempSync(join(tmpdir(), 'berth-discover-'));
  try {
    const ssh = await PinnedSsh.open({
      folder,
      address,
      fingerprint: options.fingerprint,
      identity: options.identity && resolve(options.identity),
    });
    process.stdout.write(entryText(address, options.fingerprint, await askFacts(ssh)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The TOML text; disks that are too small to be the machine's own (under 8 GB) are left out. */
function entryText(address: string, fingerprint: string, facts: MachineFacts): string {
  const disks = facts.disks.filter(({ sizeBytes, stablePaths }) => sizeBytes >= 8e9 && stablePaths.length > 0);
  const entry = {
    address,
    hostKeyFingerprint: fingerprint,
    system: facts.system,
    firmware: facts.firmware,
    adminKeys: ['ssh-ed25519 <your public key>'],
    disks: {
      layout: disks.length >= 2 ? 'mirrored' : 'single',
      fileSystem: 'ext4',
      encrypted: false,
      devices: disks
        .slice(0, 2)
        .map(({ stablePaths, serial }) => ({ path: stablePaths[0] ?? '', serial: serial ?? '' })),
    },
    network: {
      mac: facts.uplink?.mac ?? '',
      addresses: [...(facts.uplink?.addresses ?? [])],
      gateways: [...(facts.uplink?.gateways ?? [])],
    },
  };
  const seen = facts.disks.map(
    ({ path, serial, model, sizeBytes }) =>
      `# ${path}  ${(sizeBytes / 1e9).toFixed(0)} GB  ${model ?? ''}  ${serial ?? 'no serial'}`,
  );
  return `# Disks of the machine; everything on those named below will be lost.\n${seen.join('\n')}\n\n${stringify({ hosts: { 'name-it': entry } })}\n`;
}
