/** What hostd is told at its start, and everything that follows from a container's name. */
import { parseArgs } from 'node:util';
import { join } from 'node:path';
import { EVALUATION_MEMORY_MIB, EVALUATION_TIMEOUT_MS } from '../core/limits.ts';
import { slotOf, type InstanceName } from '../core/names.ts';
import type { EvaluationSettings } from './evaluation.ts';
import { addressesOf, parsePool, poolsOverlap, type AddressPool, type SlotAddresses } from '../core/slots.ts';

export interface HostSettings {
  readonly socket: string;
  /** The user whose requests are taken, and whose files are placed in containers. */
  readonly operatorUid: number;
  readonly operatorGid: number;
  /** Where the operator stages the files of an instance: `<staging>/<name>/source` and `repository.git`. */
  readonly staging: string;
  /** Addresses of containers and of the host's ends of their links. */
  readonly pool: AddressPool;
  /** Addresses of previews: each stays while instances come and go. */
  readonly previewPool: AddressPool;
  /** The host's rules around containers (server-config/modules/firewall), loaded again after somebody has flushed them. */
  readonly rules: string;
  /** Caddy's configuration, which imports the route files, and its admin interface. */
  readonly caddyfile: string;
  readonly caddySocket: string;
  readonly evaluation: EvaluationSettings;
}

/** What containers' systems are made from, in this very version. */
const GUEST = join(import.meta.dirname, '../../server-config/guest');

/** Throws an Error naming the option for everything that is missing or unusable. */
export function settingsFrom(argv: readonly string[]): HostSettings {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      socket: { type: 'string', default: '/run/berth-hostd/socket' },
      'operator-uid': { type: 'string' },
      'operator-gid': { type: 'string' },
      staging: { type: 'string', default: '/var/lib/berth/instances' },
      pool: { type: 'string', default: '10.100.0.0/16' },
      'preview-pool': { type: 'string', default: '10.101.0.0/16' },
      rules: { type: 'string', default: '/etc/berth/tenants.nft' },
      // Where NixOS's module puts it.
      caddyfile: { type: 'string', default: '/etc/caddy/caddy_config' },
      'caddy-socket': { type: 'string', default: '/run/caddy/admin.sock' },
      guest: { type: 'string', default: GUEST },
      'allow-old-nix': { type: 'boolean', default: false },
    },
  });
  const pool = poolFrom('--pool', values.pool);
  const previewPool = poolFrom('--preview-pool', values['preview-pool']);
  if (poolsOverlap(pool, previewPool)) throw new Error('--pool and --preview-pool overlap');
  return {
    socket: values.socket,
    operatorUid: numberFrom('--operator-uid', values['operator-uid'], 4_294_967_294),
    operatorGid: numberFrom('--operator-gid', values['operator-gid'], 4_294_967_294),
    staging: values.staging,
    pool,
    previewPool,
    rules: values.rules,
    caddyfile: values.caddyfile,
    caddySocket: values['caddy-socket'],
    evaluation: {
      guest: values.guest,
      timeoutMs: EVALUATION_TIMEOUT_MS,
      memoryMiB: EVALUATION_MEMORY_MIB,
      allowOldNix: values['allow-old-nix'],
    },
  };
}

function poolFrom(option: string, text: string): AddressPool {
  const pool = parsePool(text);
  if (pool === null) throw new Error(`${option} must be an IPv4 network such as 10.100.0.0/16, not ${text}`);
  return pool;
}

function numberFrom(option: string, text: string | undefined, max: number): number {
  const number = Number(text);
  if (text === undefined || !/^[1-9][0-9]*$/.test(text) || number > max)
    throw new Error(`${option} must be a number from 1 to ${max}`);
  return number;
}

/**
 * Each container has 65,536 user ids of its own, so that even two escaped processes could not touch each other's files. The first range lies
 * above what Debian and NixOS give to users and to `subuid`; slot 32,766 (the last of a /16) still ends below 2^32.
 */
const uidBase = 524_288;
const uidsPerContainer = 65_536;

export interface ContainerPlace {
  readonly name: InstanceName;
  readonly unit: string;
  readonly link: string;
  readonly addresses: SlotAddresses;
  readonly uid: number;
  readonly conf: string;
  readonly root: string;
  /** The file whose file system is the root, and the unit that mounts it there. */
  readonly disk: string;
  readonly mountUnit: string;
  readonly lock: string;
  readonly profile: string;
  readonly gcroots: string;
  /** Directory of unit settings. */
  readonly dropIn: string;
  readonly staged: string;
}

export const confDirectory = '/etc/nixos-containers';
export const rootDirectory = '/var/lib/nixos-containers';
/** Open to root alone: no guest ever sees the file that its root lies in. */
export const diskDirectory = '/var/lib/berth-disks';
/** In /run because NixOS's /etc/systemd/system is read-only. */
export const unitDirectory = '/run/systemd/system';
export const gcrootDirectory = '/nix/var/nix/gcroots/per-container';
export const profileDirectory = '/nix/var/nix/profiles/per-container';

/** Where everything of a container is. Pure: the name is one of ours, so nothing else decides. */
export function placeOf(settings: Pick<HostSettings, 'pool' | 'staging'>, name: InstanceName): ContainerPlace {
  return {
    name,
    unit: `container@${name}.service`,
    link: `ve-${name}`,
    addresses: addressesOf(settings.pool, slotOf(name)),
    uid: uidBase + slotOf(name) * uidsPerContainer,
    conf: join(confDirectory, `${name}.conf`),
    root: join(rootDirectory, name),
    disk: join(diskDirectory, `${name}.ext4`),
    // The root's path as systemd-escape(1) writes it.
    mountUnit: `var-lib-nixos\\x2dcontainers-${name}.mount`,
    lock: join(rootDirectory, `.#${name}.lck`),
    profile: join(profileDirectory, name),
    gcroots: join(gcrootDirectory, name),
    dropIn: join(unitDirectory, `container@${name}.service.d`),
    staged: join(settings.staging, name),
  };
}

export { uidsPerContainer };
