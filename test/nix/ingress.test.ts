import { strict as assert } from 'node:assert';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../support/free-port.ts';
import { golden } from './golden.ts';

/**
 * Promise S15, the part that is Caddy's: the rendered Caddyfile, run by the real Caddy in front of a stand-in for the
 * operator that answers everything. What must not exist outside is answered by Caddy and never reaches the stand-in.
 */
const caddy = process.env['CADDY'] ?? 'caddy';
const missing = [caddy, 'openssl'].find((program) => spawnSync(program, ['version']).status !== 0);

describe('what the rendered Caddyfile lets through', {
  skip: missing === undefined ? false : `needs ${missing}`,
}, () => {
  let folder: string;
  let operator: Server;
  let child: ChildProcess;
  let port: number;
  const reached: string[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'berth-ingress-'));
    mkdirSync(join(folder, 'previews'));
    operator = createServer((incoming, response) => {
      reached.push(`${incoming.method} ${incoming.headers.host} ${incoming.url}`);
      incoming.resume().on('end', () => response.end('operator'));
    }).listen(0, '127.0.0.1');
    await once(operator, 'listening');
    port = await freePort();
    writeFileSync(
      join(folder, 'Caddyfile'),
      await runnableCaddyfile(folder, port, (operator.address() as AddressInfo).port),
    );
    child = spawn(caddy, ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'], {
      env: { PATH: process.env['PATH'], HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr?.on('data', (chunk) => (log += String(chunk)));
    const deadline = Date.now() + 20_000;
    while ((await ask(port, 'hooks.example.com', 'GET', '/').catch(() => null)) === null) {
      assert.ok(child.exitCode === null && Date.now() < deadline, log);
      await delay(50);
    }
  });
  after(async () => {
    const gone = child.exitCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await gone;
    operator.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  const passes: [host: string, method: string, path: string][] = [
    ['hooks.example.com', 'POST', '/webhook/github'],
    ['hooks.example.com', 'GET', '/health'],
    ['berth.example.com', 'GET', '/'],
  ];
  for (const [host, method, path] of passes) {
    test(`${method} ${host}${path} reaches the operator`, async () => {
      assert.deepEqual(await ask(port, host, method, path), { status: 200, body: 'operator' });
    });
  }

  const inside = [
    '/metrics',
    '/ready',
    '/internal/token',
    '/internal/',
    '/api/previews',
    '/',
    '/webhook',
    '/webhook/github/',
  ];
  test('nothing else of the webhook’s host does', async () => {
    reached.length = 0;
    for (const path of inside) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
        assert.equal((await ask(port, 'hooks.example.com', method, path)).status, 404, `${method} ${path}`);
      }
    }
    for (const [method, path] of [
      ['GET', '/webhook/github'],
      ['POST', '/health'],
      ['GET', '//metrics'],
      ['GET', '/health/../metrics'],
    ] as const) {
      assert.equal((await ask(port, 'hooks.example.com', method, path)).status, 404, `${method} ${path}`);
    }
    assert.deepEqual(reached, []);
  });

  test('what is the operator’s own is not to be had through the dashboard’s host', async () => {
    reached.length = 0;
    for (const path of ['/metrics', '/ready', '/webhook/github', '/internal/token', '/%6detrics', '//metrics']) {
      assert.equal((await ask(port, 'berth.example.com', 'GET', path)).status, 404, path);
    }
    assert.deepEqual(reached, []);
  });

  test('a preview that is not there is a 404 of Caddy’s own, not to be indexed', async () => {
    reached.length = 0;
    assert.equal((await ask(port, 'shop-7.previews.example.net', 'GET', '/')).status, 404);
    assert.deepEqual(reached, []);
  });

  test('the webhook’s log has what fail2ban looks for', async () => {
    await ask(port, 'hooks.example.com', 'POST', '/webhook/github');
    const line = readFileSync(join(folder, 'webhook.log'), 'utf8').trim().split('\n').at(-1) ?? '';
    const entry = JSON.parse(line) as { status: number; request: { uri: string } };
    assert.equal(entry.request.uri, '/webhook/github');
    assert.match(line, /"(client_ip|remote_ip)":"127\.0\.0\.1".*"uri":"\/webhook\/github".*"status":200\b/);
  });
});

/** The rendered file with ports, certificates, sockets and logs of this test. */
async function runnableCaddyfile(folder: string, httpsPort: number, operatorPort: number): Promise<string> {
  const certificate = join(folder, 'certificate.pem');
  const key = join(folder, 'key.pem');
  const subject = [
    '-subj',
    '/CN=test',
    '-addext',
    'subjectAltName=DNS:hooks.example.com,DNS:berth.example.com,DNS:*.previews.example.net',
  ];
  const made = spawnSync('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    ...subject,
    '-keyout',
    key,
    '-out',
    certificate,
  ]);
  assert.equal(made.status, 0, made.stderr.toString());
  return golden('caddy/acme.Caddyfile')
    .replace('{\n', `{\n\thttp_port ${await freePort()}\n\thttps_port ${httpsPort}\n`)
    .replaceAll(/tls \S+ \S+/g, `tls ${certificate} ${key}`)
    .replaceAll('/run/caddy', folder)
    .replaceAll('/etc/caddy/previews', join(folder, 'previews'))
    .replaceAll('/var/log/caddy', folder)
    .replaceAll('127.0.0.1:3100', `127.0.0.1:${operatorPort}`);
}

async function ask(
  port: number,
  host: string,
  method: string,
  path: string,
): Promise<{ status: number; body: string }> {
  const asked = request({
    host: '127.0.0.1',
    port,
    method,
    path,
    servername: host,
    headers: { host },
    rejectUnauthorized: false,
    agent: false,
  });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}
