import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
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

test('a user who swaps files for links while root hardens gains nothing', async () => {
  using host = new AHost();
  host.generations(1);
  const outside = join(host.folder, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'shadow'), 'secret', { mode: 0o600 });
  for (let index = 0; index < 300; index += 1) {
    mkdirSync(join(host.checkout, `folder-${index}`));
    writeFileSync(join(host.checkout, `folder-${index}`, 'shadow'), '');
    chmodSync(join(host.checkout, `folder-${index}`, 'shadow'), 0o777);
  }
  // Swaps folders and files for links to the outside and back, as fast as it can, until it is stopped.
  const racer = spawn('bash', [
    '-c',
    `echo racing; cd "$0"; i=0; while :; do i=$(( (i + 7) % 300 )); d=folder-$i; mv "$d" "$d.away" && ln -s "$1" "$d"; rm -f "$d"; mv "$d.away" "$d";
     ln -sfn "$1/shadow" "$d/shadow"; done 2>/dev/null`,
    host.checkout,
    outside,
  ]);
  try {
    await once(racer.stdout, 'data');
    for (let turn = 0; turn < 3; turn += 1) host.hostctl('harden');
  } finally {
    racer.kill('SIGKILL');
    await once(racer, 'close');
  }
  assert.equal(statSync(join(outside, 'shadow')).mode & 0o7777, 0o600);
  assert.equal(readFileSync(join(outside, 'shadow'), 'utf8'), 'secret');
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
