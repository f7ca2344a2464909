/** What only shows when it is tried: the service says which key of the configuration it is about, exits 78, and leaves nothing. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { openTestDatabase } from '../support/test-database.ts';

const MAIN = resolve(import.meta.dirname, '../../webhook/main.ts');

interface Start {
  readonly toml?: string;
  readonly path?: string;
}

/** Starts the service in a folder of its own, on a PostgreSQL of the test's; resolves when it has ended. */
async function start(
  t: TestContext,
  folder: string,
  { toml = '', path }: Start,
): Promise<{ status: unknown; said: string }> {
  const database = await openTestDatabase();
  t.after(() => database[Symbol.asyncDispose]());
  const file = join(folder, 'berth.toml');
  writeFileSync(file, `[github]\nrepositories = ["acme/shop"]\n${toml}`, { mode: 0o600 });
  const env = {
    PATH: path ?? process.env['PATH'],
    DATABASE_URL: database.url,
    BERTH_GITHUB_WEBHOOK_SECRET: '0123456789abcdef'.repeat(4),
    BERTH_GITHUB_TOKEN: 'a-token-of-the-tests',
  };
  const { promise, resolve: done } = Promise.withResolvers<{ status: unknown; said: string }>();
  execFile(process.execPath, [MAIN, '--config', file], { env, timeout: 60_000 }, (error, _stdout, stderr) =>
    done({ status: error?.code ?? 0, said: stderr }),
  );
  return promise;
}

function aFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'berth-refused-'));
  // As root, apps run as users of their own, who have to pass.
  chmodSync(folder, 0o711);
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

async function ports(): Promise<{ server: number; gateway: number }> {
  return { server: await freePort(), gateway: await freePort() };
}

for (const taken of ['server', 'gateway'] as const) {
  test(`a port that is in use: ${taken}.port`, async (t) => {
    const holder = createServer().listen(0, '127.0.0.1');
    t.after(() => holder.close());
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const given = await ports();
    given[taken] = port;
    const toml = `[server]\nport = ${given.server}\n[gateway]\nport = ${given.gateway}\n`;
    const { status, said } = await start(t, aFolder(t), { toml });
    assert.equal(status, 78, said);
    const expected = `[CONFIG_INVALID] ${taken}.port: cannot listen on 127.0.0.1:${port} (EADDRINUSE).\nChoose another [${taken}] port`;
    assert.ok(said.includes(expected), said);
  });
}

test('an address that is not this machine’s: gateway.host', async (t) => {
  // RFC 5737: an address of documentation, which nobody has.
  const { status, said } = await start(t, aFolder(t), { toml: '[gateway]\nhost = "192.0.2.1"\n' });
  assert.equal(status, 78, said);
  assert.match(said, /gateway\.host: cannot listen on 192\.0\.2\.1:8080 \(EADDRNOTAVAIL\)\.\nGive \[gateway\] host/);
});

test('a directory that is none: state.directory', async (t) => {
  const folder = aFolder(t);
  const { status, said } = await start(t, folder, { toml: '[state]\ndirectory = "berth.toml/state"\n' });
  assert.equal(status, 78, said);
  assert.match(said, /state\.directory: .*\/berth\.toml\/state is none that we can write to \(ENOTDIR\)/);
  assert.deepEqual(readdirSync(folder), ['berth.toml']);
});

test('a sandbox that is required and not there: runtime.sandbox', async (t) => {
  const folder = aFolder(t);
  const programs = join(folder, 'bin');
  mkdirSync(programs);
  for (const program of ['git', 'setpriv', 'prlimit']) symlinkSync(join('/usr/bin', program), join(programs, program));
  const { server, gateway } = await ports();
  const toml = `[server]\nport = ${server}\n[gateway]\nport = ${gateway}\n[runtime]\nsandbox = "required"\n`;
  const { status, said } = await start(t, folder, { toml, path: programs });
  assert.equal(status, 78, said);
  assert.match(said, /runtime\.sandbox is "required", but: .*\nInstall bubblewrap/);
});
