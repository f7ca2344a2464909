/** What no single key can tell: whether values are strong enough, fit each other, and fit this host. Pure. */
import { createPrivateKey } from 'node:crypto';
import { PROCESS_SLOTS_MAX } from '../core/limits.ts';
import { parsePool, poolsOverlap, type AddressPool } from '../core/slots.ts';
import type { FoundSecret, GivenSecrets, SecretName } from './credentials.ts';
import { EXAMPLE_SECRETS, type ConfigFile } from './schema.ts';

/** A problem that has no line yet: the caller knows the document. */
export interface Finding {
  readonly key: string;
  readonly message: string;
  readonly line?: number | null;
}

/** GitHub recommends a random string of high entropy; 32 bytes is what HMAC-SHA256 can make use of (RFC 2104, section 3). */
const WEBHOOK_SECRET_MIN_BYTES = 32;

/** Secrets that stand in documentation: ours, and GitHub's ("Validating webhook deliveries"). */
const PUBLISHED_SECRETS: ReadonlySet<string> = new Set([
  ...Object.values(EXAMPLE_SECRETS),
  "It's a Secret to Everybody",
]);

/** `github` is the section as it stands: what is missing is told also when something else in it is wrong. */
export function githubFindings(github: unknown, secrets: GivenSecrets): Finding[] {
  return [
    ...webhookSecretFindings(secrets),
    ...exampleFindings(secrets.found.get('github-token')),
    ...privateKeyFindings(secrets.found.get('github-app-private-key')),
    ...identityFindings(typeof github === 'object' && github !== null ? github : {}, secrets),
  ];
}

/** Whether each delivery can be checked. */
export function webhookSecretFindings({ found, refused }: GivenSecrets): Finding[] {
  const current = found.get('github-webhook-secret');
  const previous = found.get('github-webhook-secret-previous');
  const missing: Finding[] =
    current === undefined && !refused.has('github-webhook-secret')
      ? [
          {
            key: 'github.webhook_secret',
            message: 'is missing. Set BERTH_GITHUB_WEBHOOK_SECRET (openssl rand -hex 32).',
          },
        ]
      : [];
  const weak = [current, previous].flatMap((each): Finding[] => {
    if (each === undefined) return [];
    const message = weaknessOf(each.secret.reveal());
    return message === null ? [] : [{ key: each.from, line: each.line, message }];
  });
  return [...missing, ...weak];
}

const IS_AN_EXAMPLE = 'is an example that everybody knows.';

function exampleFindings(found: FoundSecret | undefined): Finding[] {
  if (found === undefined || !PUBLISHED_SECRETS.has(found.secret.reveal())) return [];
  return [{ key: found.from, line: found.line, message: `${IS_AN_EXAMPLE} Give your own.` }];
}

function weaknessOf(secret: string): string | null {
  if (PUBLISHED_SECRETS.has(secret)) return `${IS_AN_EXAMPLE} Make one with: openssl rand -hex 32`;
  if (Buffer.byteLength(secret) < WEBHOOK_SECRET_MIN_BYTES)
    return `has fewer than ${WEBHOOK_SECRET_MIN_BYTES} bytes. Make one with: openssl rand -hex 32`;
  // A random text of 32 bytes with fewer than 8 different characters does not happen: hexadecimal, below one in 10^12.
  if (new Set(secret).size < 8) return 'is made of a few characters only. Make one with: openssl rand -hex 32';
  return null;
}

function privateKeyFindings(found: FoundSecret | undefined): Finding[] {
  if (found === undefined) return [];
  const refuse = (message: string): Finding[] => [{ key: found.from, line: found.line, message }];
  try {
    const key = createPrivateKey(found.secret.reveal());
    return key.asymmetricKeyType === 'rsa'
      ? []
      : refuse('is not an RSA key. Download the key that GitHub made for the App.');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE' ||
      /ENCRYPTED/.test(found.secret.reveal().slice(0, 200))
      ? refuse('is protected by a passphrase. Store it without one, readable by us alone.')
      : refuse('is not a private key in PEM form. Download it again from the App’s settings.');
  }
}

function identityFindings(github: object, secrets: GivenSecrets): Finding[] {
  const has = (name: SecretName) => secrets.found.has(name) || secrets.refused.has(name);
  const parts = [
    { key: 'github.app_id', given: Object.hasOwn(github, 'app_id') },
    { key: 'github.installation_id', given: Object.hasOwn(github, 'installation_id') },
    { key: 'github.app_private_key', given: has('github-app-private-key') },
  ];
  const missing = parts.filter((part) => !part.given);
  if (missing.length === 0) return [];
  if (missing.length < parts.length)
    return missing.map(({ key }) => ({
      key,
      message: 'is missing: a GitHub App needs all three of app_id, installation_id and app_private_key.',
    }));
  if (has('github-token')) return [];
  return [
    {
      key: 'github.token',
      message: 'is missing. Set BERTH_GITHUB_TOKEN, or a GitHub App (app_id, installation_id, app_private_key).',
    },
  ];
}

/** Whether what is given is the URL of a PostgreSQL. Without one there is nothing to say. */
export function databaseFindings(secrets: GivenSecrets): Finding[] {
  const found = secrets.found.get('database-url');
  if (found === undefined) return [];
  const url = URL.parse(found.secret.reveal());
  return url !== null && ['postgres:', 'postgresql:'].includes(url.protocol)
    ? exampleFindings(found)
    : [
        {
          key: found.from,
          line: found.line,
          message: 'must be a URL such as postgresql://user:password@host:5432/database.',
        },
      ];
}

/** The web process has a database that the operator made, and whoever breaks into it must find no way to GitHub. */
export function webFindings({ found, refused }: GivenSecrets): Finding[] {
  const missing: Finding[] =
    found.has('database-url') || refused.has('database-url')
      ? []
      : [
          {
            key: 'state.database_url',
            message:
              'is missing. Set DATABASE_URL, with the role berth_web: only an operator that has the web in its own process brings a PostgreSQL along.',
          },
        ];
  const tooMuch = (['github-token', 'github-app-private-key'] as const).flatMap((name) => found.get(name) ?? []);
  return [
    ...missing,
    ...tooMuch.map(({ from, line }) => ({
      key: from,
      line,
      message: 'is given to the web process, which must not have it. Give it to the operator alone.',
    })),
  ];
}

/** No version of ours is older. */
const EARLIEST = new Date('2026-01-01T00:00:00Z');

/** With the clock of a machine that has lost it, every certificate is one of the future and every pause is over. */
export function clockFindings(now: Date): Finding[] {
  return now >= EARLIEST
    ? []
    : [{ key: '', message: `The clock of this machine says ${now.toISOString()}. Set it: timedatectl set-ntp true` }];
}

const isWildcard = (host: string) => host === '0.0.0.0' || host === '::';

/** Two listeners on one port would end in one of them not starting. */
export function listenerFindings(server: ConfigFile['server'], gateway: ConfigFile['gateway']): Finding[] {
  const same = server.host === gateway.host || isWildcard(server.host) || isWildcard(gateway.host);
  return same && server.port === gateway.port && server.port !== 0
    ? [{ key: 'gateway.port', message: `is ${gateway.port}, which is server.port already. Choose another.` }]
    : [];
}

/** A password that nobody would be asked for must not look as if it worked. */
export function basicAuthFindings(gateway: ConfigFile['gateway'], basicAuth: ConfigFile['basic_auth']): Finding[] {
  return gateway.kind === 'caddy' || basicAuth.length === 0
    ? []
    : [
        {
          key: 'basic_auth',
          message: 'works with gateway.kind "caddy" only. Remove the section, or put a proxy with a password in front.',
        },
      ];
}

/** Caddy finds instances through the privileged helper of the container runtime; and their addresses and those of previews must be different ones. */
export function gatewayFindings(file: Addressed, networks: readonly HostNetwork[]): Finding[] {
  const { gateway, runtime } = file;
  if (gateway.kind !== 'caddy') return [];
  if (runtime.kind !== 'nixos-container')
    return [{ key: 'gateway.kind', message: '"caddy" needs runtime.kind "nixos-container". Use "builtin".' }];
  const pool = wholePool(gateway.pool);
  const collisions = hostCollisions({ key: 'gateway.pool', pool }, file, networks);
  return poolsOverlap(pool, poolOf(runtime))
    ? [...collisions, { key: 'gateway.pool', message: `(${pool.cidr}) overlaps runtime.pool. Choose another range.` }]
    : collisions;
}

/**
 * Pools that are used where the file names none. The process runtime needs addresses that exist without being made: loopback. It has 1,022
 * slots, as many as it has ports for.
 */
const DEFAULT_POOLS = { process: '127.100.0.0/21', 'nixos-container': '10.100.0.0/16' } as const;

/** The addresses of instances: those of the file, or the default of its runtime. */
export function poolOf(runtime: ConfigFile['runtime']): AddressPool {
  const pool = parsePool(runtime.pool ?? DEFAULT_POOLS[runtime.kind]);
  if (pool === null) throw new RangeError('the schema lets no such pool pass');
  return pool;
}

/** An IPv4 network that this host is part of. */
export interface HostNetwork {
  readonly interface: string;
  readonly cidr: string;
}

const PRIVATE_RANGES = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'].map((cidr) =>
  wholePool(cidr),
);
const LOOPBACK = wholePool('127.0.0.0/8');

/** The pool of a text that the schema has let pass. */
export function wholePool(cidr: string): AddressPool {
  const pool = parsePool(cidr);
  if (pool === null) throw new RangeError(`${cidr} is not a network`);
  return pool;
}

/** The sections that say what has which addresses. */
type Addressed = Pick<ConfigFile, 'runtime' | 'server' | 'gateway'>;

/** Addresses of instances must be ones that the runtime can have, and collide with nothing that exists. */
export function poolFindings(file: Addressed, networks: readonly HostNetwork[]): Finding[] {
  const pool = poolOf(file.runtime);
  const key = 'runtime.pool';
  if (file.runtime.kind === 'nixos-container') return hostCollisions({ key, pool }, file, networks);
  const refuse = (message: string): Finding[] => [{ key, message: `(${pool.cidr}) ${message}` }];
  if (!isInside(pool, LOOPBACK))
    return refuse('must lie inside 127.0.0.0/8: the process runtime makes no network of its own.');
  if (pool.slotMax > PROCESS_SLOTS_MAX)
    return refuse(
      `has more than ${PROCESS_SLOTS_MAX} slots, for which the process runtime has ports. Take a /21 or smaller.`,
    );
  return listenerCollisions({ key, pool }, file);
}

interface NamedPool {
  readonly key: string;
  readonly pool: AddressPool;
}

/** Addresses that are added to a host: the host sends to them nowhere else any more, so they must be private ones that nothing else here has. */
function hostCollisions(named: NamedPool, file: Addressed, networks: readonly HostNetwork[]): Finding[] {
  const { key, pool } = named;
  const refuse = (message: string): Finding => ({ key, message: `(${pool.cidr}) ${message}` });
  if (!PRIVATE_RANGES.some((range) => isInside(pool, range)))
    return [refuse('must lie inside a private range (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10).')];
  const overlapped = networks.filter((network) => {
    const range = containingPool(network.cidr);
    return range !== null && poolsOverlap(pool, range);
  });
  return [
    ...listenerCollisions(named, file),
    ...overlapped.map((network) =>
      refuse(
        `overlaps ${network.cidr} of this host’s interface ${network.interface}. Choose a range that nothing uses.`,
      ),
    ),
  ];
}

function listenerCollisions({ key, pool }: NamedPool, file: Addressed): Finding[] {
  return (['server', 'gateway'] as const).flatMap((name) => {
    const address = parseAddress(file[name].host);
    return address !== null && poolsOverlap(pool, address)
      ? [{ key, message: `(${pool.cidr}) holds ${name}.host (${file[name].host}), which we listen on.` }]
      : [];
  });
}

function endOf(pool: AddressPool): number {
  return pool.base + 2 * (pool.slotMax + 2) - 1;
}

function isInside(inner: AddressPool, outer: AddressPool): boolean {
  return inner.base >= outer.base && endOf(inner) <= endOf(outer);
}

/** One address as the smallest network that parsePool knows, or null when the text is not an IPv4 address. */
function parseAddress(text: string): AddressPool | null {
  return /^\d+(?:\.\d+){3}$/.test(text) ? containingPool(`${text}/32`) : null;
}

/** The network of an interface's address (`192.168.1.7/24`); never smaller than /29, which is what parsePool knows. */
function containingPool(cidr: string): AddressPool | null {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  if (match === null) return null;
  const [a = 0, b = 0, c = 0, d = 0, prefix = 0] = match.slice(1).map(Number);
  const bits = Math.min(29, Math.max(8, prefix));
  const base = ((((a << 24) | (b << 16) | (c << 8) | d) >>> 0) & (-1 << (32 - bits))) >>> 0;
  return parsePool(`${[24, 16, 8, 0].map((shift) => (base >>> shift) & 255).join('.')}/${bits}`);
}
