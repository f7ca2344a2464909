import { readFileSync } from 'node:fs';
import { isIP, isIPv4 } from 'node:net';
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { exitStatus, InstallFailure } from './failure.ts';

/**
 * hosts.toml, the one file that a user edits. hosts-schema.nix checks the same file with the same rules when Nix reads
 * it; here it is checked before any machine is contacted.
 */

const ipAddress = z.string().refine((text) => isIP(text) !== 0, 'must be an IP address');
const prefixLengthMax = (address: string): number => (isIPv4(address) ? 32 : 128);
const networkAddress = z.string().refine((text) => {
  const [address = '', length = '', ...rest] = text.split('/');
  return (
    rest.length === 0 && isIP(address) !== 0 && /^\d{1,3}$/.test(length) && Number(length) <= prefixLengthMax(address)
  );
}, 'must be an address with its prefix length, such as 203.0.113.10/26');

const device = z.strictObject({
  path: z
    .string()
    .regex(
      /^\/dev\/disk\/by-id\/[A-Za-z0-9._:+-]+$/,
      'must be a path below /dev/disk/by-id: other names change from boot to boot',
    ),
  serial: z.string().regex(/^[A-Za-z0-9._:-]{1,64}$/, 'must be the serial number that the disk reports'),
});

const disks = z
  .strictObject({
    layout: z.enum(['single', 'mirrored']),
    fileSystem: z.enum(['ext4', 'btrfs', 'xfs']).default('ext4'),
    encrypted: z.boolean().default(false),
    devices: z.array(device),
  })
  .superRefine((value, context) => {
    const wanted = value.layout === 'mirrored' ? 2 : 1;
    if (value.devices.length !== wanted) {
      context.addIssue({
        code: 'custom',
        path: ['devices'],
        message: `layout "${value.layout}" takes ${wanted}, not ${value.devices.length}`,
      });
    }
    for (const key of ['path', 'serial'] as const) {
      const all = value.devices.map((each) => each[key]);
      if (new Set(all).size < all.length)
        context.addIssue({ code: 'custom', path: ['devices'], message: `one ${key} stands twice` });
    }
  });

const network = z
  .strictObject({
    mac: z
      .string()
      .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'must be a hardware address in lower case, such as 90:1b:0e:00:00:01'),
    addresses: z.array(networkAddress).default([]),
    gateways: z.array(ipAddress).default([]),
    nameservers: z.array(ipAddress).default(['185.12.64.1', '185.12.64.2']),
  })
  .refine((value) => (value.addresses.length === 0) === (value.gateways.length === 0), {
    path: ['gateways'],
    message: 'addresses and gateways stand together, or neither does (DHCP)',
  });

const host = z.strictObject({
  address: ipAddress,
  hostKeyFingerprint: z
    .string()
    .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'must be the SHA256:… fingerprint of an ED25519 host key'),
  system: z.enum(['x86_64-linux', 'aarch64-linux']),
  firmware: z.enum(['bios', 'uefi']),
  adminKeys: z
    .array(z.string().regex(/^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [ -~]*)?$/, 'must be an SSH public key'))
    .min(1, 'must hold a key, or nobody could log in'),
  disks,
  network,
});

const hostsFile = z.strictObject({
  hosts: z.record(z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a host name'), host),
});

export type HostEntry = z.output<typeof host>;

/**
 * Reads and checks the whole file: a mistake in any host is reported, also when another one is installed, because Nix
 * would trip over it later.
 *
 * @throws InstallFailure `usage`, naming file, place and key.
 */
export function readHostsFile(path: string): Record<string, HostEntry> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw usage(
      `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`,
      'Copy initial-install/hosts.example.toml to initial-install/hosts.toml and fill it in.',
    );
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    const where = error instanceof TomlError ? `, line ${error.line}` : '';
    throw usage(`${path}${where}: is not TOML: ${(error as Error).message.split('\n')[0]}`, '');
  }
  const parsed = hostsFile.safeParse(value);
  if (parsed.success) return parsed.data.hosts;
  throw usage(
    parsed.error.issues.map((issue) => `${path}: ${problemOf(issue)}`).join('\n'),
    'initial-install/hosts.example.toml explains every key.',
  );
}

function problemOf(issue: z.core.$ZodIssue): string {
  const place = issue.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .slice(1);
  if (issue.code === 'unrecognized_keys') return `${place || '(top)'}: there is no key ${issue.keys.join(', ')}`;
  return `${place}: ${issue.message}`;
}

function usage(message: string, hint: string): InstallFailure {
  return new InstallFailure(exitStatus.usage, message, hint);
}
