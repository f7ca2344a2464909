/** Commands inside a container: its walls and limits, its app's user, status, both directions, a terminal, and an end with whoever asked. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { CommandInside } from '../../../webhook/core/host-verbs.ts';
import type { InstanceSpec } from '../../../webhook/ports.ts';
import { anInstance, aRuntime, bringUp, eventually, host, hostStatus, noAbort, startHostd } from './a-host-runtime.ts';
import { anOperator, preview, project, shopAt, shows } from './an-operator.ts';

const runtime = aRuntime();
before(startHostd);
after(() => host('systemctl', 'stop', 'berth-hostd'));

const previewProgram = `${project}/webhook/commands/preview/main.mjs`;

/** The container that answers for the one preview there is. */
const nameOfShop = (): string => host('machinectl', 'list', '--no-legend').split(/\s/)[0] ?? '';

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function ran(
  spec: InstanceSpec,
  asked: string[] | CommandInside,
  { input = '', signal = noAbort }: { input?: string; signal?: AbortSignal } = {},
): Promise<Ran> {
  const printed = { stdout: '', stderr: '' };
  const command = Array.isArray(asked) ? { argv: asked, asRoot: false } : asked;
  const status = await runtime.run(spec, command, {
    input: (async function* () {
      yield Buffer.from(input);
    })(),
    output: async (stream, chunk) => {
      printed[stream] += chunk.toString();
    },
    signal,
  });
  return { status, ...printed };
}

test('a command runs as the app does: user, folder, environment, walls, limits; words, input and status go through', async () => {
  const spec = await anInstance(runtime, 51, { environment: { GREETING: `it's "$(x)"` } });
  await bringUp(runtime, spec);
  const words = ['a b', '$(id)', "it's", '*', '-x', ''];
  assert.deepEqual(await ran(spec, ['printf', '%s|', ...words]), {
    status: 0,
    stdout: `${words.join('|')}|`,
    stderr: '',
  });
  const facts =
    'id -u; pwd; ls; printf "%s\\n" "$GREETING"; grep -E "NoNewPrivs|Seccomp:" /proc/self/status; cat /proc/self/uid_map; exit 7';
  const as = await ran(spec, ['sh', '-c', facts]);
  const [uid, folder, files, greeting, noNewPrivileges, seccomp, map] = as.stdout.split('\n');
  assert.deepEqual(
    [as.status, uid, folder, files, greeting],
    [7, '1000', '/home/preview/app', 'server.js', `it's "$(x)"`],
  );
  assert.match(noNewPrivileges ?? '', /1$/);
  assert.match(seccomp ?? '', /2$/);
  assert.match(map ?? '', /^\s*0\s+3866624\s+65536$/, 'the container’s own range');
  const cgroup = await ran(spec, ['sh', '-c', 'cat /proc/self/cgroup']);
  assert.match(cgroup.stdout, /berth-command-/);

  const long = 'line of input\n'.repeat(20_000);
  assert.equal((await ran(spec, ['wc', '-c'], { input: long })).stdout.trim(), String(long.length));
  assert.equal((await ran(spec, ['cat'], { input: long })).stdout, long);
  assert.deepEqual((await ran(spec, ['sh', '-c', 'echo no >&2; kill -9 $$'])).stderr, 'no\n');
  assert.equal((await ran(spec, ['no-such-program'])).status, 127);
  assert.equal((await ran(spec, { argv: ['id', '-u'], asRoot: true })).stdout, '0\n');
  assert.equal(
    (await ran(spec, { argv: ['cat', '/proc/self/uid_map'], asRoot: true })).stdout.trim().split(/\s+/)[1],
    '3866624',
  );

  const onTerminal = await ran(
    spec,
    { shell: { columns: 97, rows: 31 }, asRoot: false },
    { input: 'stty size; test -t 0 && test -t 1 && echo a ter""minal; exit 9\n' },
  );
  assert.equal(onTerminal.status, 9, JSON.stringify(onTerminal));
  assert.match(onTerminal.stdout.replaceAll('\r', ''), /31 97\na terminal/);

  const asked = new AbortController();
  const hanging = ran(spec, ['sleep', '4321'], { signal: asked.signal });
  const sleeps = () => hostStatus('pgrep', '-f', 'sleep 4321') === 0;
  await eventually(sleeps, 'the command runs');
  asked.abort(new Error('gone'));
  await assert.rejects(hanging);
  await eventually(() => !sleeps(), 'the command has ended with whoever asked');

  await runtime.stop(spec.name);
  await assert.rejects(ran(spec, ['true']), { code: 'PREVIEW_NOT_RUNNING' });
  await runtime.remove(spec.name);
  // The operator of the next test works there as its own user.
  host('chown', '-R', 'berth:berth', '/var/lib/berth');
});

test('preview exec and preview shell, on the host and over SSH', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  await repository.commit('feature', shopAt('1'), 'One');
  const pull = await repository.openPullRequest({ head: 'feature' });
  await shows('shop-1.preview.test', 'version 1');
  assert.equal(await preview('exec', 'shop-1', '--', 'sh', '-c', 'psql "$DATABASE_URL" -XAtc "select 6*7"'), '42\n');
  assert.match(await preview('logs', 'shop-1', '--json'), /"text":"version 1 listens"/);

  await t.test('a followed log leaves no reader in the container, however its reader ends', async () => {
    const readers = () =>
      host('ps', '-eo', 'args')
        .split('\n')
        .filter((args) => /journalctl .*--follow/.test(args));
    const units = () => host('systemctl', '-M', nameOfShop(), 'list-units', '--all', '--plain', '--no-legend', 'run-*');
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const following = spawn(
        '/usr/sbin/runuser',
        ['-u', 'berth', '--', '/usr/local/bin/node', previewProgram, 'logs', 'shop-1', '--follow'],
        {
          env: { PATH: '/usr/local/bin:/usr/bin:/bin', BERTH_SOCKET: '/var/lib/berth/run/operator.sock' },
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      await once(following.stdout, 'data');
      assert.notDeepEqual(readers(), []);
      // runuser hands SIGTERM on; the others are sent to the command itself.
      const [command = ''] = host('pgrep', '-f', `${previewProgram} logs shop-1`).split('\n').slice(-1);
      process.kill(Number(command), signal);
      await eventually(() => readers().length === 0, `no reader is left after ${signal}`);
      await eventually(() => units() === '', `no unit is left after ${signal}`);
    }
  });

  host('systemctl', 'start', 'sshd');
  mkdirSync('/etc/ssh/authorized_keys.d', { recursive: true });
  mkdirSync('/root/.ssh', { recursive: true, mode: 0o700 });
  rmSync('/root/.ssh/id', { force: true });
  host('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', '/root/.ssh/id');
  writeFileSync('/etc/ssh/authorized_keys.d/root', host('cat', '/root/.ssh/id.pub'));
  const overSsh = (flags: string[], words: string, input: string) =>
    new Promise<Ran>((done) => {
      const options = ['-i', '/root/.ssh/id', '-o', 'StrictHostKeyChecking=no', '-o', 'LogLevel=ERROR', ...flags];
      const command = `BERTH_SOCKET=/var/lib/berth/run/operator.sock /usr/local/bin/node ${previewProgram} ${words}`;
      const child = execFile(
        'ssh',
        [...options, 'root@127.0.0.1', command],
        { timeout: 30_000 },
        (error, stdout, stderr) => done({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
      );
      child.stdin?.end(input);
    });
  assert.deepEqual(await overSsh([], 'exec shop-1 -- sh -c "cat; exit 7"', 'through ssh\n'), {
    status: 7,
    stdout: 'through ssh\n',
    stderr: '',
  });
  assert.deepEqual(await overSsh([], 'shell shop-1', 'pwd\nexit 5\n'), {
    status: 5,
    stdout: '/home/preview/app\n',
    stderr: '',
  });
  const onTerminal = await overSsh(['-tt'], 'shell shop-1', 'test -t 0 && echo on a ter""minal\nexit 6\n');
  assert.equal(onTerminal.status, 6, onTerminal.stdout + onTerminal.stderr);
  assert.match(onTerminal.stdout, /on a terminal/);
  await pull.close();
  await eventually(async () => !(await preview('list', '--json')).includes('shop-1'), 'the preview is gone');
});
