import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite, test } from 'node:test';
import { Client } from 'pg';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import type { Log } from '../../../../webhook/ports.ts';
import { silentLog } from '../../../support/silent-log.ts';
import { onServer } from '../../../support/on-server.ts';
import { waitUntil } from '../../../support/wait-until.ts';

interface Place extends AsyncDisposable {
  readonly directory: string;
  start(log?: Log): Promise<EmbeddedPostgres>;
}

/** A folder for one cluster, which goes with everything that runs in it. */
async function place(): Promise<Place> {
  const parent = await mkdtemp(join(tmpdir(), 'berth-test-embedded-'));
  await chmod(parent, 0o711);
  const directory = join(parent, 'postgres');
  const started: EmbeddedPostgres[] = [];
  return {
    directory,
    async start(log = silentLog) {
      const server = await startEmbeddedPostgres({ directory, log, durable: false });
      started.push(server);
      return server;
    },
    async [Symbol.asyncDispose]() {
      for (const server of started) await server.stop();
      await rm(parent, { recursive: true, force: true });
    },
  };
}

async function postmasterPid(directory: string): Promise<number> {
  return Number((await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

suite('embedded PostgreSQL', () => {
  test('one that is watched comes back on its port when it is killed, with all that was committed, and not after a stop', async () => {
    await using cluster = await place();
    const server = await cluster.start();
    server.watch();
    await onServer(server.url, 'create table kept as select 7 as n');
    process.kill(await postmasterPid(cluster.directory), 'SIGKILL');
    await waitUntil('it answers again', async () => {
      const rows = await onServer(server.url, 'select n from kept').catch(() => []);
      return rows[0]?.['n'] === 7;
    });
    const pid = await postmasterPid(cluster.directory);
    await server.stop();
    assert.equal(isRunning(pid), false);
    await assert.rejects(postmasterPid(cluster.directory), { code: 'ENOENT' });
  });

  test('starts, keeps data and port over restarts, and is gone when stopped', async () => {
    await using cluster = await place();
    const first = await cluster.start();
    await onServer(first.url, 'create table kept (value int)');
    const pid = await postmasterPid(cluster.directory);
    await first.stop();
    await first.stop();
    // A process that has ended is still to be seen until its parent, PID 1, has taken notice.
    await waitUntil('its end', () => !isRunning(pid));
    const second = await cluster.start();
    assert.equal(second.url, first.url);
    assert.deepEqual(await onServer(second.url, 'select count(*)::int from kept'), [{ count: 0 }]);
    assert.equal(second.appHost, '127.0.0.1');
    assert.equal(String(second.appPort), new URL(second.url).port);
  });

  test('has a password of its own that only we can read, and lets nobody else in', async () => {
    await using cluster = await place();
    const { url } = await cluster.start();
    const file = await stat(join(cluster.directory, 'password'));
    assert.equal(file.mode & 0o777, 0o600);
    assert.ok(new URL(url).password.length >= 32);
    const refused = async (change: (url: URL) => void, why: RegExp) => {
      const other = new URL(url);
      change(other);
      await assert.rejects(onServer(other.href, 'select 1'), why);
    };
    await refused((other) => (other.password = 'wrong'), /password authentication failed/);
    await refused((other) => (other.username = 'postgres'), /no pg_hba.conf entry|pg_hba.conf rejects|password/);
    await onServer(url, `create role stranger login superuser password 'known'`);
    await refused((other) => {
      other.username = 'stranger';
      other.password = 'known';
    }, /pg_hba.conf rejects/);
    const listening = await onServer(
      url,
      `select name, setting from pg_settings where name in ('listen_addresses', 'unix_socket_directories') order by name`,
    );
    assert.deepEqual(listening, [
      { name: 'listen_addresses', setting: '127.0.0.1' },
      { name: 'unix_socket_directories', setting: '' },
    ]);
  });

  test('has a port that no outgoing connection can take while it is down', {
    skip: process.platform !== 'linux' && 'needs /proc/sys/net',
  }, async () => {
    await using cluster = await place();
    const { appPort } = await cluster.start();
    const [lowest = ''] = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')).split(/\s/);
    assert.ok(appPort < Number(lowest), `${appPort} of at least ${lowest}`);
  });

  test('takes another port when somebody has its own, and says so', async () => {
    await using cluster = await place();
    const first = await cluster.start();
    const { port } = new URL(first.url);
    await first.stop();
    const squatter = createServer().listen(Number(port), '127.0.0.1');
    await once(squatter, 'listening');
    try {
      const warnings: string[] = [];
      const second = await cluster.start({ ...silentLog, warn: (_fields, message) => void warnings.push(message) });
      assert.notEqual(new URL(second.url).port, port);
      assert.match(warnings.join(), /has a new one/);
      await second.stop();
    } finally {
      squatter.close();
    }
  });

  test('a server that outlived a kill -9 of ours is taken over with its connections, and stopped with us', async () => {
    await using cluster = await place();
    const script = new URL('../../../support/embedded-postgres-process.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [script, cluster.directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    const pid = await postmasterPid(cluster.directory);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.ok(isRunning(pid));

    const server = await cluster.start();
    assert.equal(server.url, url);
    assert.equal(await postmasterPid(cluster.directory), pid);
    assert.deepEqual((await client.query('select 1 as alive')).rows, [{ alive: 1 }]);
    await server.stop();
    await waitUntil('its end', () => !isRunning(pid));
    await client.end().catch(() => undefined);
  });

  test('a server that does not answer at once is waited for, and taken over with its connections', async () => {
    await using cluster = await place();
    const first = await cluster.start();
    const client = new Client({ connectionString: first.url });
    client.on('error', () => undefined);
    await client.connect();
    const pid = await postmasterPid(cluster.directory);
    process.kill(pid, 'SIGSTOP');
    const goesOn = (_: unknown, text = '') => {
      if (text.endsWith('does not answer yet')) process.kill(pid, 'SIGCONT');
    };
    const second = await cluster.start({ ...silentLog, info: goesOn });
    assert.equal(second.url, first.url);
    assert.equal(await postmasterPid(cluster.directory), pid);
    assert.deepEqual((await client.query('select 1 as alive')).rows, [{ alive: 1 }]);
    await client.end();
  });

  test('starts again after a crash of the server itself', async () => {
    await using cluster = await place();
    const first = await cluster.start();
    await onServer(first.url, 'create table kept as select 1 as value; checkpoint');
    const pid = await postmasterPid(cluster.directory);
    process.kill(pid, 'SIGKILL');
    await waitUntil('its end', () => !isRunning(pid));
    const second = await cluster.start();
    assert.deepEqual(await onServer(second.url, 'select value from kept'), [{ value: 1 }]);
  });

  test('a process number in a stale file belongs to somebody else: it is left alone', async () => {
    await using cluster = await place();
    await (await cluster.start()).stop();
    const bystander = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      await writeFile(
        join(cluster.directory, 'data', 'postmaster.pid'),
        `${bystander.pid}\n${join(cluster.directory, 'data')}\n1700000000\n5432\n\n127.0.0.1\n`,
      );
      const server = await cluster.start();
      assert.deepEqual(await onServer(server.url, 'select 1 as one'), [{ one: 1 }]);
      await server.stop();
      assert.equal(bystander.exitCode, null);
      assert.equal(bystander.signalCode, null);
    } finally {
      bystander.kill();
    }
  });

  test('a copy of a folder whose server runs does not disturb that server', async () => {
    await using original = await place();
    await using copy = await place();
    const server = await original.start();
    await server.stop();
    await cp(original.directory, copy.directory, { recursive: true, preserveTimestamps: true });
    if (process.getuid?.() === 0) await chownLike(join(original.directory, 'data'), join(copy.directory, 'data'));
    const again = await original.start();
    // As if the copy had been taken while the server ran.
    await cp(join(original.directory, 'data', 'postmaster.pid'), join(copy.directory, 'data', 'postmaster.pid'));
    const other = await copy.start();
    assert.notEqual(new URL(other.url).port, new URL(again.url).port);
    await other.stop();
    assert.deepEqual(await onServer(again.url, 'select 1 as one'), [{ one: 1 }]);
  });

  test('a cluster that we did not make is refused and not touched', async () => {
    await using cluster = await place();
    await mkdir(join(cluster.directory, 'data'), { recursive: true });
    await writeFile(join(cluster.directory, 'data', 'PG_VERSION'), '18\n');
    await assert.rejects(cluster.start(), { code: 'EMBEDDED_POSTGRES_FAILED', message: /not one of ours/ });
    await assert.rejects(stat(join(cluster.directory, 'password')));
  });

  test('a cluster of another version is refused with both numbers', async () => {
    await using cluster = await place();
    await (await cluster.start()).stop();
    await writeFile(join(cluster.directory, 'data', 'PG_VERSION'), '14\n');
    await assert.rejects(cluster.start(), {
      code: 'EMBEDDED_POSTGRES_FAILED',
      message: /PostgreSQL 14.*PostgreSQL \d+/,
    });
  });

  test('a server that cannot start says why, and nothing of it is left running', async () => {
    await using cluster = await place();
    await (await cluster.start()).stop();
    await rm(join(cluster.directory, 'data', 'global', 'pg_control'));
    await assert.rejects(cluster.start(), { code: 'EMBEDDED_POSTGRES_FAILED', message: /pg_control/ });
    await assert.rejects(stat(join(cluster.directory, 'data', 'postmaster.pid')));
  });

  test('as root, a folder that the server’s user may not pass is named, with the way out', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('needs root: a normal user runs the server as itself');
    const parent = await mkdtemp(join(tmpdir(), 'berth-test-private-'));
    try {
      await assert.rejects(startEmbeddedPostgres({ directory: join(parent, 'postgres'), log: silentLog }), {
        code: 'EMBEDDED_POSTGRES_FAILED',
        message: new RegExp(`may not pass ${parent}`),
        hint: /DATABASE_URL/,
      });
    } finally {
      await rm(parent, { recursive: true, force: true });
    }
  });

  test('as a normal user the server runs as that user', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('the other tests of this file run as a normal user already');
    const parent = await mkdtemp(join(tmpdir(), 'berth-test-user-'));
    try {
      // Any user without rights will do; `nobody` is on every system.
      await chown(parent, 65_534, 65_534);
      const script = new URL('../../../support/embedded-postgres-process.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [script, join(parent, 'postgres')], {
        uid: 65_534,
        gid: 65_534,
        cwd: '/',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const output: string[] = [];
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => output.push(chunk));
      const line = await Promise.race([
        once(createInterface({ input: child.stdout }), 'line').then(([first]) => String(first)),
        once(child, 'exit').then(() => `ended: ${output.join('')}`),
      ]);
      if (/EACCES|Cannot find module/.test(line)) return t.skip('needs this folder to be readable by other users');
      assert.match(line, /^postgres:/);
      const pid = await postmasterPid(join(parent, 'postgres'));
      assert.equal((await stat(`/proc/${pid}`)).uid, 65_534);
      child.kill('SIGKILL');
      await once(child, 'exit');
      process.kill(pid, 'SIGINT');
      await waitUntil('its end', () => !isRunning(pid));
    } finally {
      await rm(parent, { recursive: true, force: true });
    }
  });
});

async function chownLike(model: string, folder: string): Promise<void> {
  const { uid, gid } = await stat(model);
  const child = spawn('chown', ['-R', `${uid}:${gid}`, folder]);
  await once(child, 'exit');
}
