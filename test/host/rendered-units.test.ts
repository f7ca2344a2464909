/**
 * The units that a NixOS host gets (test/fixtures/rendered, held equal to what Nix renders by test/nix/golden.test.ts), run by a real systemd:
 * the real operator and hostd inside the confinement that their modules give them.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'smol-toml';
import { hostTest } from './host-test.ts';
import { bringUpTestHost, type TestHost } from './test-host.ts';

const project = resolve(import.meta.dirname, '../..');
const rendered = (name: string) => readFileSync(join(project, 'test/fixtures/rendered', name), 'utf8');

/** The test host's operator and web. */
const operatorId = 970;
const webId = 972;
const startedBy = (main: string) => `ExecStart=/usr/local/bin/node ${project}/webhook/${main}`;

/** Only what the test host has elsewhere is replaced; the confinement stays as it is. */
function hostdUnit(): string {
  return rendered('units/berth-hostd.service')
    .replace(/^ExecStart=\S+/m, startedBy('hostd/main.ts'))
    .replaceAll('=870', `=${operatorId}`)
    .replace('/etc/caddy/caddy_config', '/etc/caddy/Caddyfile');
}

function operatorUnit(): string {
  return rendered('units/berth-operator.service')
    .replace(/^ExecStart=\S+/m, startedBy('main.ts'))
    .replace(/^LoadCredential=.*\n/gm, '')
    .replace(/^Requires=.*\n/m, '')
    .replace(
      '[Service]\n',
      '[Service]\nLoadCredential=github-webhook-secret:/etc/berth/hook\nLoadCredential=github-token:/etc/berth/token\n',
    );
}

function webUnit(): string {
  return rendered('units/berth-web.service')
    .replace(/^ExecStart=\S+/m, startedBy('main.ts'))
    .replace(/^LoadCredential=.*\n/gm, '')
    .replace(/^Requires=.*\n/m, '')
    .replace('[Service]\n', '[Service]\nLoadCredential=github-webhook-secret:/etc/berth/hook\n');
}

function metricsUnit(): string {
  return rendered('units/berth-metrics.service').replace(
    /^ExecStart=\S+/m,
    'ExecStart=/usr/lib/systemd/systemd-socket-proxyd',
  );
}

/** The rendered berth.toml with the test host's domain, and a token in place of the App, whose key nobody has here. */
function settings(): string {
  const value = JSON.parse(rendered('operator/settings.json')) as Record<string, Record<string, unknown>>;
  const { app_id: _id, installation_id: _installation, ...github } = value['github'] ?? {};
  const gateway = { ...value['gateway'], domain: 'preview.test', scheme: 'http', public_port: 80 };
  return stringify({ ...value, github, gateway });
}

/** What tmpfiles makes on NixOS. */
const folders = [
  '/etc/nixos-containers',
  '/var/lib/nixos-containers',
  '/nix/var/nix/profiles/per-container',
  '/nix/var/nix/gcroots/per-container',
  // Nix makes it at its first root; every NixOS host has it long before.
  '/nix/var/nix/gcroots/auto',
  '/etc/caddy/previews',
  '/etc/berth',
];

async function install(host: TestHost): Promise<void> {
  await host.run(['mkdir', '-p', ...folders]);
  await host.run(['chown', 'berth:caddy', '/etc/caddy/previews']);
  await host.run(['chmod', '2750', '/etc/caddy/previews']);
  const files = {
    '/etc/systemd/system/berth-hostd.service': hostdUnit(),
    '/etc/systemd/system/berth-operator.service': operatorUnit(),
    '/etc/systemd/system/berth-web.service': webUnit(),
    '/etc/systemd/system/berth-metrics.service': metricsUnit(),
    '/etc/systemd/system/berth-metrics.socket': rendered('units/berth-metrics.socket'),
    '/etc/berth/berth.toml': settings(),
    '/etc/berth/hook': '5f1c9a7be2d04486a3f0c2d1e8b7964f0a1b2c3d',
    '/etc/berth/token': `ghp_${'0'.repeat(36)}`,
  };
  for (const [path, text] of Object.entries(files)) await host.run(['tee', path], { input: text });
  await host.run(['chmod', '0400', '/etc/berth/hook', '/etc/berth/token']);
  await host.run(['systemctl', 'daemon-reload']);
}

async function answerOf(host: TestHost, path: string, port = 3100): Promise<string> {
  const asked = await host.run(['curl', '--silent', '--max-time', '2', `http://127.0.0.1:${port}${path}`], {
    reject: false,
  });
  return asked.stdout;
}

/** The real check of a bound in time: the operator and the web have a minute, of which they need a second or two. */
async function untilReady(host: TestHost): Promise<void> {
  for (const deadline = Date.now() + 60_000; ; await delay(200)) {
    const [web, operator] = [await answerOf(host, '/ready'), await answerOf(host, '/metrics', 3101)];
    if (web.includes('"ready"') && operator.includes('berth_jobs{')) return;
    if (Date.now() < deadline) continue;
    const journal = await host.run([
      'journalctl',
      '--no-pager',
      '-n',
      '40',
      '-u',
      'berth-operator',
      '-u',
      'berth-web',
      '-u',
      'berth-hostd',
    ]);
    assert.fail(`operator and web are not ready:\n${journal.stdout}`);
  }
}

async function pidOf(host: TestHost, unit: string): Promise<string> {
  return (await host.run(['systemctl', 'show', '--property=MainPID', '--value', unit])).stdout.trim();
}

hostTest('the rendered units run web, operator and hostd under a real systemd', async () => {
  await using host = await bringUpTestHost();
  await install(host);
  // All at once, as at boot: the web comes back until the operator has made the schema.
  await host.run(['systemctl', 'start', 'berth-web', 'berth-hostd', 'berth-operator', 'berth-metrics.socket']);
  await untilReady(host);

  // Nobody: no capability, no new privileges, filtered system calls.
  for (const [unit, uid] of [
    ['berth-operator', operatorId],
    ['berth-web', webId],
  ] as const) {
    const status = (await host.run(['cat', `/proc/${await pidOf(host, unit)}/status`])).stdout;
    assert.match(status, new RegExp(`^Uid:\t${uid}\t${uid}`, 'm'), unit);
    assert.match(status, /^CapEff:\t0+$/m, unit);
    assert.match(status, /^CapBnd:\t0+$/m, unit);
    assert.match(status, /^NoNewPrivs:\t1$/m, unit);
    assert.match(status, /^Seccomp:\t2$/m, unit);
  }

  // Each listens where its unit says (promise S15): the web on its port, the operator on none.
  const listening = (await host.run(['ss', '-Hltnp'])).stdout.split('\n');
  const ofUnit = async (unit: string) => {
    const pid = await pidOf(host, unit);
    return listening.filter((line) => line.includes(`pid=${pid},`)).map((line) => line.split(/\s+/)[3]);
  };
  assert.deepEqual(await ofUnit('berth-web'), ['127.0.0.1:3100']);
  assert.deepEqual(await ofUnit('berth-operator'), []);
  assert.equal(
    await answerOf(host, '/v1/previews', 3101),
    '{"message":"Route GET:/v1/previews not found","error":"Not Found","statusCode":404}',
  );

  // What a web that was broken into finds: the webhook's secret, and no way to the operator, to hostd or to a file that it could write.
  const asWeb = async (...words: string[]) =>
    (
      await host.run(
        [
          'nsenter',
          `--target=${await pidOf(host, 'berth-web')}`,
          '--mount',
          'setpriv',
          `--reuid=${webId}`,
          `--regid=${webId}`,
          '--clear-groups',
          ...words,
        ],
        { reject: false },
      )
    ).exitCode;
  assert.equal(await asWeb('test', '-r', '/run/credentials/berth-web.service/github-webhook-secret'), 0);
  for (const path of [
    '/etc/berth/token',
    '/run/credentials/berth-operator.service/github-token',
    '/run/berth/operator.sock',
    '/run/berth/metrics.sock',
    '/run/berth-hostd/socket',
    '/var/lib/berth',
  ])
    assert.notEqual(await asWeb('test', '-r', path), 0, path);
  for (const path of ['/etc/caddy/previews/x.caddy', '/var/lib/berth/x', '/run/x', '/usr/x'])
    assert.notEqual(await asWeb('touch', path), 0, path);

  // Either may die without the other noticing.
  const [web, operator] = [await pidOf(host, 'berth-web'), await pidOf(host, 'berth-operator')];
  await host.run(['kill', '-9', operator]);
  assert.match(await answerOf(host, '/ready'), /"ready"/);
  await untilReady(host);
  assert.equal(await pidOf(host, 'berth-web'), web);
  const again = await pidOf(host, 'berth-operator');
  await host.run(['kill', '-9', web]);
  await untilReady(host);
  assert.equal(await pidOf(host, 'berth-operator'), again);

  // The command talks to it.
  const listed = await host.run(['node', `${project}/webhook/commands/preview/main.mjs`, 'list', '--json'], {
    cwd: '/tmp',
  });
  assert.deepEqual(JSON.parse(listed.stdout), { previews: [] });

  // A restart of either is a matter of seconds.
  await host.run(['systemctl', 'restart', 'berth-hostd', 'berth-operator']);
  await untilReady(host);
});

hostTest('Caddy serves and reloads inside its rendered confinement', async () => {
  await using host = await bringUpTestHost();
  // On NixOS too this text stands over the unit that Caddy's package brings.
  const overrides = rendered('units/caddy.service')
    .replace(/^(ExecStart|ExecReload)=\/nix\S+/gm, '$1=/usr/bin/caddy')
    .replaceAll('/etc/caddy/caddy_config', '/etc/caddy/Caddyfile');
  await host.run(['mkdir', '-p', '/etc/systemd/system/caddy.service.d', '/etc/caddy/previews']);
  await host.run(['tee', '/etc/systemd/system/caddy.service.d/overrides.conf'], { input: overrides });
  await host.run(['systemctl', 'daemon-reload']);
  await host.run(['systemctl', 'restart', 'caddy']);
  await host.run(['systemctl', 'reload', 'caddy']);

  const url = 'http://nobody.preview.test/';
  const asked = ['curl', '--silent', '--output', '/dev/null', '--write-out', '%{http_code}'];
  const answer = await host.run([...asked, '--resolve', 'nobody.preview.test:80:127.0.0.1', url]);
  assert.equal(answer.stdout, '404');
  const shown = await host.run(['systemctl', 'show', '--property=MainPID', '--value', 'caddy']);
  const status = (await host.run(['cat', `/proc/${shown.stdout.trim()}/status`])).stdout;
  // CAP_NET_BIND_SERVICE, for ports 80 and 443, and nothing else.
  assert.match(status, /^CapEff:\t0000000000000400$/m);
});

hostTest('hostd does all that it is for inside its rendered unit', async () => {
  await using host = await bringUpTestHost();
  await install(host);
  const suite = ['node', '--test', '--test-reporter=spec', join(project, 'test/host/inside/containers.ts')];
  const run = await host.run(suite, { cwd: '/tmp', reject: false, timeoutMs: 300_000 });
  assert.equal(run.exitCode, 0, run.stdout);
  assert.match(run.stdout, /ℹ skipped 0/);
});
