import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { giveTo } from '../../../../webhook/commands/hostctl/configuration-tree.ts';
import { AHost } from '../../../support/a-host.ts';

const git = (folder: string, ...args: string[]) =>
  execFileSync('git', ['-C', folder, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
    encoding: 'utf8',
  }).trim();

function withUpstream(host: AHost): string {
  const upstream = join(host.folder, 'upstream');
  mkdirSync(upstream);
  git(upstream, 'init', '-q', '-b', 'main');
  writeFileSync(join(upstream, 'flake.nix'), '{}');
  git(upstream, 'add', '.');
  git(upstream, 'commit', '-qm', 'one');
  execFileSync('git', ['clone', '-q', upstream, host.checkout]);
  return upstream;
}

test('pull moves forward only, and refuses a checkout with changes of its own', () => {
  using host = new AHost();
  host.generations(1);
  const upstream = withUpstream(host);
  git(upstream, 'commit', '-qm', 'two', '--allow-empty');
  const pulled = host.hostctl('pull');
  assert.equal(pulled.status, 0, pulled.stderr);
  assert.equal(pulled.json['after'], git(upstream, 'rev-parse', 'HEAD'));

  writeFileSync(join(host.checkout, 'flake.nix'), '{ edited = true; }');
  const dirty = host.hostctl('refresh');
  assert.equal(dirty.status, 3);
  assert.match(String(dirty.json['error']), /uncommitted changes:\n M flake\.nix/);
  assert.deepEqual(host.ran(), [], 'nothing is rebuilt from a checkout that could not be pulled');

  git(host.checkout, 'commit', '-qam', 'mine');
  git(upstream, 'commit', '-qm', 'three', '--allow-empty');
  const mine = git(host.checkout, 'rev-parse', 'HEAD');
  assert.equal(host.hostctl('pull').status, 1);
  assert.equal(git(host.checkout, 'rev-parse', 'HEAD'), mine);
});

test('harden closes the checkout without following links, and a second run changes nothing', () => {
  using host = new AHost();
  host.generations(1);
  const outside = join(host.folder, 'outside');
  writeFileSync(outside, 'not ours');
  chmodSync(outside, 0o666);
  mkdirSync(join(host.checkout, 'secrets'));
  writeFileSync(join(host.checkout, 'secrets', 'webhook.age'), 'x', { mode: 0o644 });
  writeFileSync(join(host.checkout, 'flake.nix'), '{}');
  chmodSync(join(host.checkout, 'flake.nix'), 0o666);
  symlinkSync(outside, join(host.checkout, 'link'));
  writeFileSync(join(host.checkout, 'run-as-root'), '');
  chmodSync(join(host.checkout, 'run-as-root'), 0o4755);
  execFileSync('mkfifo', [join(host.checkout, 'pipe')]);
  const hardened = host.hostctl('harden');
  assert.equal(hardened.status, 0, hardened.stderr);
  const mode = (path: string) => statSync(join(host.checkout, path)).mode & 0o7777;
  assert.equal(mode('flake.nix'), 0o644);
  assert.equal(mode('run-as-root'), 0o755, 'no bit that runs it as its owner');
  assert.equal(mode('secrets'), 0o700);
  assert.equal(mode('secrets/webhook.age'), 0o600);
  assert.equal(statSync(outside).mode & 0o777, 0o666, 'a link leads nowhere');
  assert.deepEqual(host.hostctl('harden').json['changed'], []);
});

test('a user who swaps files and folders for links while root hardens gains nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-swap-'));
  const [checkout, outside] = [join(folder, 'checkout'), join(folder, 'outside')];
  for (const path of [join(checkout, 'sub'), outside]) mkdirSync(path, { recursive: true });
  // A mode that hardening would change, if it ever got here.
  writeFileSync(join(outside, 'shadow'), '');
  writeFileSync(join(checkout, 'sub', 'shadow'), '');
  for (const [path, mode] of [
    [outside, 0o777],
    [join(outside, 'shadow'), 0o666],
  ] as const)
    chmodSync(path, mode);
  // Swaps the folder for a link to the outside and back, and the file in it too, some ten thousand times a second.
  const swapping = `
    const fs = require('node:fs'); const [sub, outside] = process.argv.slice(1);
    fs.symlinkSync(outside, sub + '.link'); fs.symlinkSync(outside + '/shadow', sub + '.filelink');
    console.log('swapping');
    for (;;) {
      fs.chmodSync(sub, 0o777); fs.chmodSync(sub + '/shadow', 0o777);
      fs.renameSync(sub, sub + '.away'); fs.renameSync(sub + '.link', sub); fs.renameSync(sub, sub + '.link'); fs.renameSync(sub + '.away', sub);
      fs.renameSync(sub + '/shadow', sub + '.file'); fs.renameSync(sub + '.filelink', sub + '/shadow');
      fs.renameSync(sub + '/shadow', sub + '.filelink'); fs.renameSync(sub + '.file', sub + '/shadow');
    }`;
  const racer = spawn(process.execPath, ['-e', swapping, join(checkout, 'sub'), outside]);
  try {
    await once(racer.stdout, 'data');
    let swapped = 0;
    for (let turn = 0; turn < 5_000; turn += 1) {
      try {
        giveTo({ uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }, checkout);
      } catch (error) {
        // What was there a moment ago is gone, or a link now: the only way in which a swap may show.
        assert.match((error as NodeJS.ErrnoException).code ?? '', /^(ENOENT|ELOOP|ENOTDIR)$/);
        swapped += 1;
      }
    }
    assert.ok(swapped > 0, 'the two never met');
  } finally {
    racer.kill('SIGKILL');
    await once(racer, 'close');
    const modes = [outside, join(outside, 'shadow')].map((path) => statSync(path).mode & 0o7777);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    assert.deepEqual(modes, [0o777, 0o666]);
  }
});

test('soften is for one user and a while; maintain hardens again afterwards', () => {
  using host = new AHost();
  host.generations(1);
  const { username } = userInfo();
  const softened = host.hostctl('soften', '--user', username, '--hours', '1');
  assert.equal(softened.status, 0, softened.stderr);
  const pull = host.hostctl('pull');
  assert.equal(pull.status, 3, 'root runs no git in a checkout that somebody else writes');
  assert.match(String(pull.json['hint']), /hostctl harden/);
  assert.doesNotMatch(String(host.hostctl('maintain').json['summary']), /harden/);
  writeFileSync(
    join(host.state, 'softened.json'),
    JSON.stringify({ user: username, until: '2020-01-01T00:00:00.000Z' }),
  );
  chmodSync(host.checkout, 0o777);
  assert.match(String(host.hostctl('maintain').json['summary']), /harden: put 1 entries right/);
  assert.equal(statSync(host.checkout).mode & 0o777, 0o755);
  assert.match(readFileSync(host.log, 'utf8'), /maintain\/harden put 1 entries right/);

  for (const user of ['--help', 'no such', 'nobody-here-x'])
    assert.equal(host.hostctl('soften', `--user=${user}`).status, 2, user);
  for (const hours of ['0', '25', '1.5', 'x']) {
    assert.equal(host.hostctl('soften', '--user', username, '--hours', hours).status, 2, hours);
  }
});
