/** The `preview` command on the real service: `webhook/main.ts` as a process, its PostgreSQL, git and app processes; only GitHub is a stand-in. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { startOperatorProcess } from '../../support/operator-process.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { startFakeGitHub } from '../../support/fake-github.ts';

const main = resolve(import.meta.dirname, '../../../webhook/commands/preview/main.mjs');

const server = (answer: string) =>
  `require('node:http').createServer((_, response) => response.end(${JSON.stringify(answer)})).listen(process.env.PORT, process.env.HOST, () => console.log('up with ${answer}'));\n`;
const files = (answer: string, setup = 'echo set up') => ({
  'preview.toml': `[setup]\ncommand = "${setup}"\n[[services]]\nname = "web"\ncommand = ["node", "server.js"]\nport = 3000\n`,
  'server.js': server(answer),
});

/** What the gateway answers for a host name; fetch would not let us say the name. */
function shownBy(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, headers: { host } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

/** What keeps the processes of previews; they end with it. */
function supervisorsIn(stateDirectory: string): number[] {
  const { stdout } = spawnSync('ps', ['-axo', 'pid=,args='], { encoding: 'utf8' });
  const lines = stdout.split('\n').filter((line) => line.includes(join(stateDirectory, 'instances')));
  return lines.filter((line) => line.includes('supervisor.ts')).map((line) => Number.parseInt(line, 10));
}

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

test('a branch without a pull request: create, look, update, fail, recover, roll back, destroy', {
  timeout: 120_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-service-'));
  // As root, PostgreSQL and the apps run as users of their own, who have to get there.
  chmodSync(folder, 0o755);
  await using github = await startFakeGitHub();
  const shop = await github.addRepository('acme/shop', files('one'));
  const operator = await startOperatorProcess({
    directory: folder,
    repositories: ['acme/shop'],
    apiUrl: github.apiUrl,
    cloneBase: github.cloneBase,
    token: github.token,
    webhookSecret: '0123456789abcdef'.repeat(4),
    gatewayPort: 0,
    // Test files run side by side, and each has an operator of its own.
    pool: `127.${randomInt(110, 250)}.${randomInt(256)}.0/24`,
  });
  t.after(async () => {
    // Previews outlive their operator.
    await preview('destroy', 'shop-main');
    await operator.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const socket = join(operator.stateDirectory, 'run', 'operator.sock');
  const preview = (...args: string[]) => previewGiven('', ...args);
  const previewGiven = (input: string, ...args: string[]) =>
    new Promise<Ended>((done) => {
      const env = { PATH: process.env['PATH'] ?? '', BERTH_SOCKET: socket };
      const child = execFile(process.execPath, [main, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) =>
        done({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
      );
      child.stdin?.end(input);
    });
  const ok = async (...args: string[]) => {
    const ended = await preview(...args);
    assert.equal(
      ended.status,
      0,
      `${args.join(' ')}: ${ended.stderr}\n${readFileSync(operator.logFile, 'utf8').slice(-2_000)}`,
    );
    return ended.stdout;
  };
  const urlShows = async (answer: string) => {
    const shown = await shownBy(operator.gatewayPort, 'shop-main.localhost');
    assert.equal(shown, answer, readFileSync(operator.logFile, 'utf8').slice(-3_000));
  };

  assert.match(await ok('create', 'acme/shop', 'main'), /^URL: http:\/\/shop-main\.localhost:\d+$/m);
  await urlShows('one');
  assert.match(await ok('list'), /^shop-main  live    main    http:/m);
  assert.match(await ok('logs', 'shop-main'), /setup set up\n.*web up with one/);
  // A command gets its words as they are, what is piped in, and the app's folder and environment; its status is ours.
  const words = ['a b', '$(id)', "it's", '*', '-x', ''];
  assert.equal(await ok('exec', 'shop-main', '--', 'printf', '%s|', ...words), `${words.join('|')}|`);
  const long = 'x'.repeat(300_000);
  const through = await previewGiven(
    long,
    'exec',
    'shop-main',
    '--',
    'sh',
    '-c',
    'cat; echo $PREVIEW_BRANCH >&2; ls; exit 7',
  );
  assert.deepEqual(through, { status: 7, stdout: `${long}preview.toml\nserver.js\n`, stderr: 'main\n' });
  assert.deepEqual(await previewGiven('cd /; pwd; exit 3\n', 'shell', 'shop-main'), {
    status: 3,
    stdout: '/\n',
    stderr: '',
  });
  assert.match((await preview('exec', 'shop-main', '--root', '--', 'id')).stderr, /no root inside/);
  assert.equal((await preview('exec', 'shop-main')).status, 2);
  assert.equal((await preview('exec', 'no-such', '--', 'id')).status, 3);
  assert.match(await ok('plan', 'shop-main'), /Nothing to do\./);
  assert.match(await ok('update', 'shop-main'), /Nothing to do\./);

  // It is live at this commit already, by what is written down: the command waits for the look that it asked for.
  for (let time = 0; time < 3; time += 1) {
    for (const pid of supervisorsIn(operator.stateDirectory)) process.kill(pid, 'SIGKILL');
    await ok('update', 'shop-main');
    await urlShows('one');
  }

  await shop.commit('main', files('two'));
  await ok('update', 'shop-main');
  await urlShows('two');

  await shop.commit('main', files('three', 'echo nobody will see three; exit 3'));
  const failed = await preview('update', 'shop-main');
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /SETUP_FAILED/);
  assert.match(failed.stderr, /nobody will see three/);
  await urlShows('two');

  const following = preview('logs', 'shop-main', '--follow');
  await shop.commit('main', files('four'));
  await ok('update', 'shop-main');
  await urlShows('four');
  assert.match(await ok('rollback', 'shop-main'), /^Commit: /m);
  await urlShows('two');
  await ok('update', 'shop-main');
  await urlShows('four');

  // The instance that was replaced is still being retired when the URL shows the new one.
  await waitUntil('nothing is left to do', async () => (await preview('doctor')).status === 0, 30_000);
  await ok('destroy', 'shop-main');
  assert.equal(await ok('list'), '(no previews)\n');
  const followed = await following;
  assert.equal(followed.status, 0, followed.stderr);
  assert.match(followed.stdout, / setup set up\n[^]* web up with four\n/);
  assert.match(followed.stderr, /From here on of commit [0-9a-f]{8}\.\n[^]*The preview is gone\./);
  assert.match(await ok('doctor'), /^0 previews looked at: all is as it should be/);
});
