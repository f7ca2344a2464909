/** The whole service on the test host, as NixOS runs it: hostd as root, the operator as a user of its own, GitHub and git as stand-ins in the test. */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { TestContext } from 'node:test';
import { aGitServer } from '../../support/a-git-server.ts';
import { startFakeGitHub, type FakeGitHub } from '../../support/fake-github.ts';
import { eventually, host, hostStatus, startHostd } from './a-host-runtime.ts';

export const project = resolve(import.meta.dirname, '../../..');
const webhookPort = 3100;
const secret = 'a-webhook-secret-of-32-characters-or-more';
export const token = 'ghp_onTheTestHost0123456789abcdefghijk';

/** A stand-in GitHub with a git server, and an operator that works for it. Ended with the test. */
export async function anOperator(t: TestContext): Promise<FakeGitHub> {
  const github = await startFakeGitHub({ token });
  t.after(() => github.close());
  const server = await aGitServer(t, github.world.directory);
  if (server === null) throw new Error('git has no http-backend');
  configure(github.apiUrl, server.base);
  startHostd();
  startOperator();
  t.after(stopOperator);
  github.deliverTo({ url: `http://127.0.0.1:${webhookPort}/webhook/github`, secret });
  return github;
}

function configure(apiUrl: string, cloneUrl: string): void {
  mkdirSync('/etc/berth', { recursive: true });
  writeFileSync(
    '/etc/berth/berth.toml',
    `[github]
repositories = ["acme/shop"]
api_url = "${apiUrl}"
clone_url = "${cloneUrl}"
[server]
port = ${webhookPort}
[gateway]
kind = "caddy"
domain = "preview.test"
public_port = 80
[state]
directory = "/var/lib/berth"
[runtime]
kind = "nixos-container"
guest = "${project}/test/host/guest"
`,
  );
}

/** The unit that a NixOS host has for it, without the sandbox. */
export function startOperator(): void {
  const settings = {
    BERTH_GITHUB_WEBHOOK_SECRET: secret,
    BERTH_GITHUB_TOKEN: token,
    DATABASE_URL: 'postgresql:///berth?host=/run/postgresql&user=berth',
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: '/var/lib/berth',
  };
  const unit =
    '--unit=berth-operator --collect --quiet --property=User=berth --property=Group=berth ' +
    '--property=SupplementaryGroups=caddy --property=WorkingDirectory=/var/lib/berth --property=UMask=0027';
  const environment = Object.entries(settings).map(([name, value]) => `--setenv=${name}=${value}`);
  const program = ['/usr/local/bin/node', `${project}/webhook/main.ts`, '--config', '/etc/berth/berth.toml'];
  host('systemd-run', ...unit.split(' '), ...environment, '--', ...program);
  const deadline = Date.now() + 30_000;
  while (hostStatus('curl', '-fsS', '-o', '/dev/null', `http://127.0.0.1:${webhookPort}/ready`) !== 0) {
    if (Date.now() > deadline || hostStatus('systemctl', 'is-active', '--quiet', 'berth-operator') !== 0)
      throw new Error(`the operator did not start:\n${operatorLog(30)}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

export function stopOperator(): void {
  hostStatus('systemctl', 'stop', 'berth-operator');
}

export function operatorLog(lines: number): string {
  return host('journalctl', '--unit=berth-operator', '--no-pager', '--output=cat', `--lines=${lines}`);
}

/** The `preview` command, as the operator's user runs it. Not waited for in the way of `host`: GitHub is in this very process. */
export async function preview(...words: string[]): Promise<string> {
  return (await previewSaid(...words)).stdout;
}

/** The same, with what it said beside its result. */
export async function previewSaid(...words: string[]): Promise<{ stdout: string; stderr: string }> {
  const command = ['/usr/local/bin/node', `${project}/webhook/commands/preview/main.mjs`, ...words];
  return promisify(execFile)('/usr/sbin/runuser', ['-u', 'berth', '--', ...command], {
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', BERTH_SOCKET: '/var/lib/berth/run/operator.sock' },
    timeout: 60_000,
  });
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** What the host's Caddy answers for this host name. */
export function askCaddy(hostName: string, path = '/', headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((done, reject) => {
    request(
      { host: '127.0.0.1', port: 80, path, headers: { host: hostName, connection: 'close', ...headers } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => done({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      },
    )
      .on('error', reject)
      .end();
  });
}

const probing = `
const http = require('node:http');
const counts = { asked: 0, failed: 0 };
const ask = () => {
  counts.asked += 1;
  http.get({ host: '127.0.0.1', port: 80, headers: { host: process.argv[1], connection: 'close' } }, (response) => {
    if (response.statusCode !== 200) counts.failed += 1;
    response.resume();
  }).on('error', () => { counts.failed += 1; });
};
setInterval(ask, 10);
process.on('SIGTERM', () => { console.log(JSON.stringify(counts)); process.exit(); });
console.log('up');
`;

/** Asks a hundred times a second, in a process of its own, until it is stopped. */
export async function startProbes(hostName: string): Promise<() => Promise<{ asked: number; failed: number }>> {
  const child = spawn('node', ['-e', probing, hostName], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  return async () => {
    child.kill('SIGTERM');
    const { value } = await lines.next();
    return JSON.parse(String(value)) as { asked: number; failed: number };
  };
}

/** Waits until the preview shows this text. */
export async function shows(hostName: string, text: string): Promise<void> {
  let last = '';
  try {
    await eventually(async () => {
      const answer = await askCaddy(hostName).catch((error: unknown) => ({ status: 0, text: String(error) }));
      last = `${answer.status} ${answer.text.slice(0, 200)}`;
      return answer.text === text;
    }, text);
  } catch (error) {
    throw new Error(`${hostName} shows ${last}, not ${text}\n${operatorLog(40)}`, { cause: error });
  }
}

/** An app with a setup that fills its database, and a server that says which version it is and what the database holds. */
export function shopAt(version: string): Record<string, string> {
  return {
    'preview.toml': `database = "host"
[setup]
command = '''psql -q "$DATABASE_URL" -c "create table if not exists visits (version text)" -c "insert into visits values ('$PREVIEW_COMMIT')"'''
[[services]]
name = "web"
command = "exec node server.js"
port = 3000
`,
    'server.js': `const http = require('node:http');
const { execFileSync } = require('node:child_process');
http.createServer((request, response) => {
  if (request.url === '/visits') return response.end(execFileSync('psql', [process.env.DATABASE_URL, '-XAtc', 'select count(*) from visits']).toString());
  response.end('version ${version}');
}).listen(process.env.PORT, process.env.HOST, () => console.log('version ${version} listens'));
`,
  };
}
