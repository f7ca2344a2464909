/** What lies in the cluster's folder, and whose it is. */
import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorError } from '../../core/errors.ts';

/** Role of the operator. Not `postgres`, so that it is never mistaken for another cluster's. */
export const SUPERUSER = 'berth';
/** Database of the operator's own state. */
export const STATE_DATABASE = 'berth';

export interface ClusterPaths {
  readonly directory: string;
  readonly data: string;
  /** Where initdb works until it is done. */
  readonly unfinished: string;
  readonly password: string;
  readonly port: string;
}

export function clusterPaths(directory: string): ClusterPaths {
  const at = (name: string) => join(directory, name);
  return { directory, data: at('data'), unfinished: at('data.unfinished'), password: at('password'), port: at('port') };
}

/**
 * Who may connect, and as what: the operator to everything, a preview's or a seed's role to the database of its own name, nobody else. Loopback
 * only; there is no unix socket. Written before each start.
 */
export const PG_HBA = `# Written by Berth at each start. Changes are overwritten.
host  all       ${SUPERUSER}            127.0.0.1/32  scram-sha-256
host  sameuser  +berth_tenants   127.0.0.1/32  scram-sha-256
host  sameuser  +berth_seeds     127.0.0.1/32  scram-sha-256
host  all       +berth_web       127.0.0.1/32  scram-sha-256
host  all       all              0.0.0.0/0     reject
host  all       all              ::/0          reject
`;

/** What PostgreSQL gets told; each is our choice, the rest are its defaults. */
export function serverSettings(port: number, durable: boolean): string[] {
  const settings: Record<string, string | number> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port,
    // The operator takes about 20; the rest are the previews', each of which is limited on its own.
    max_connections: 300,
    // Tenants cause ERRORs at will; only what concerns the server itself is worth a line.
    log_min_messages: 'fatal',
    log_min_error_statement: 'panic',
    // What a tenant's session may put on the disk beside its database; it cannot lift this itself. As on a host (server-config/modules/database).
    temp_file_limit: '2GB',
    jit: 'off',
    ...(durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function fileOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** The superuser's password, made at the first start; readable by us alone. */
export async function ensurePassword(path: string): Promise<string> {
  const stored = (await fileOrNull(path))?.trim();
  if (stored !== undefined && stored !== '') return stored;
  const made = randomBytes(24).toString('base64url');
  await writeFile(path, `${made}\n`, { mode: 0o600 });
  await chmod(path, 0o600);
  return made;
}

export async function storedPort(path: string): Promise<number | null> {
  const port = Number((await fileOrNull(path))?.trim());
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : null;
}

/** Makes the folder. Throws EMBEDDED_POSTGRES_FAILED when it holds a cluster that we did not make. */
export async function claimDirectory(paths: ClusterPaths): Promise<void> {
  // 0711: the server's user has to pass; what must stay secret has a mode of its own.
  await mkdir(paths.directory, { recursive: true, mode: 0o711 });
  const hasData = (await fileOrNull(join(paths.data, 'PG_VERSION'))) !== null;
  if (hasData && (await fileOrNull(paths.password)) === null) {
    throw new OperatorError(
      'EMBEDDED_POSTGRES_FAILED',
      `${paths.data} holds a PostgreSQL cluster without ${paths.password} beside it, so it is not one of ours; it is left alone.`,
      { hint: 'Give Berth another state directory, or set DATABASE_URL to use that cluster.' },
    );
  }
}

/** Null before the first start. */
export async function clusterVersion(paths: ClusterPaths): Promise<string | null> {
  return (await fileOrNull(join(paths.data, 'PG_VERSION')))?.trim() ?? null;
}

/** The process of a server that runs on our data, whoever started it. Null when there is none; the file alone proves nothing. */
export async function runningServer(paths: ClusterPaths): Promise<{ pid: number; port: number } | null> {
  const [pidLine, folder, , portLine] = (await fileOrNull(join(paths.data, 'postmaster.pid')))?.split('\n') ?? [];
  const pid = Number(pidLine);
  if (!Number.isInteger(pid) || pid <= 1 || folder === undefined) return null;
  const data = await realpath(paths.data);
  if ((await realpath(folder).catch(() => null)) !== data) return null;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return null;
  }
  // A process number comes back after a reboot. The server's working directory is its data; only Linux lets us look.
  const hasProc = (await lstat('/proc/self').catch(() => null)) !== null;
  if (hasProc && (await readlink(`/proc/${pid}/cwd`).catch(() => null)) !== data) return null;
  return { pid, port: Number(portLine) };
}

/** PostgreSQL would refuse to start beside a foreign process that has the number in a stale file. */
export async function removeStalePidFile(paths: ClusterPaths): Promise<void> {
  await rm(join(paths.data, 'postmaster.pid'), { force: true });
}
