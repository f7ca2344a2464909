import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { exitStatus, HostctlFailure } from './failure.ts';

/** Where the NixOS module `hostctl` writes the settings of this host. */
export const settingsPath = '/etc/berth/hostctl.json';

const absolutePath = z
  .string()
  .regex(/^(\/[A-Za-z0-9._@+-]+)+$/, 'must be an absolute path without spaces')
  .refine(
    (path) => !path.split('/').some((segment) => segment === '.' || segment === '..'),
    'must not contain . or ..',
  );

/** A unit's or a flake output's name: it becomes an argument, so it may never look like an option. */
const plainName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/, 'must be a plain name');

/** The age that `nix-collect-garbage --delete-older-than` understands: whole days. */
export const gcAge = z.string().regex(/^[1-9][0-9]{0,3}d$/, 'must be a number of days such as 30d');

const schema = z.strictObject({
  /** The git checkout with the host's configuration; root's alone. */
  checkout: absolutePath.default('/etc/nixos'),
  flake: absolutePath.default('/etc/nixos/server-config'),
  attribute: plainName,
  systemProfile: absolutePath.default('/nix/var/nix/profiles/system'),
  currentSystem: absolutePath.default('/run/current-system'),
  bootedSystem: absolutePath.default('/run/booted-system'),
  stateDirectory: absolutePath.default('/var/lib/berth-hostctl'),
  maintenanceLog: absolutePath.default('/var/log/berth/maintenance.log'),
  gc: z
    .strictObject({
      keepGenerations: z.int().min(1).max(1000).default(10),
      olderThan: gcAge.default('30d'),
      intervalHours: z.number().min(0).max(8760).default(24),
    })
    .prefault({}),
  backup: z
    .strictObject({
      unit: plainName,
      command: plainName,
      successMetric: absolutePath,
      staleAfterHours: z.number().positive(),
    })
    .nullable()
    .default(null),
  openTcpPorts: z.array(z.int().min(1).max(65535)).default([22, 80, 443]),
  kernelSettings: z
    .record(z.string().regex(/^[a-z0-9_]+(\.[A-Za-z0-9_-]+)+$/, 'must be a sysctl’s name'), z.int())
    .default({}),
  procSys: absolutePath.default('/proc/sys'),
  sudo: absolutePath.default('/run/wrappers/bin/sudo'),
  optOuts: z.record(z.string(), z.string().min(1)).default({}),
});

export type HostSettings = z.output<typeof schema>;

/**
 * Reads this host's settings, once, strictly.
 *
 * @throws HostctlFailure `usage`, naming the file and the key.
 */
export function readSettings(path: string): HostSettings {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw settingsFailure(path, `cannot be read (${(cause as NodeJS.ErrnoException).code})`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw settingsFailure(path, 'is not JSON');
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue?.path.join('.');
  throw settingsFailure(path, `key ${key || '(top)'}: ${issue?.message}`);
}

function settingsFailure(path: string, what: string): HostctlFailure {
  return new HostctlFailure(
    exitStatus.usage,
    `${path} ${what}`,
    'The NixOS module services.berthHostctl writes this file; name another one with --settings.',
  );
}
