import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { hostTest } from './host-test.ts';
import { debianPackages, whyNoTestHost } from './requirements.ts';
import { bringUpTestHost } from './test-host.ts';

const project = resolve(import.meta.dirname, '../..');

/** Everything there is of the hosts that a process brought up. Others may bring up theirs at the same time. */
function tracesOf(owner: number | undefined): string[] {
  const claims = '/run/berth-test-hosts';
  const cgroups = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup';
  return readdirSync(claims).flatMap((name) => {
    const number = /^(\d+)\.json$/.exec(name)?.[1];
    if (number === undefined) return [];
    const claim = JSON.parse(readFileSync(join(claims, name), 'utf8')) as { ownerPid: number; stateDirectory: string };
    if (claim.ownerPid !== owner) return [];
    return [claim.stateDirectory, join(cgroups, `berth-test-host-${number}`), `/sys/class/net/ve-berth${number}`];
  });
}

async function eventually(condition: () => boolean, what: () => string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(what());
    await delay(20);
  }
}

hostTest('a host comes up with everything running, and leaves nothing behind', async () => {
  const host = await bringUpTestHost();
  const traces = tracesOf(process.pid);
  assert.ok(traces.length === 3 && traces.every((path) => existsSync(path)), traces.join(' '));
  try {
    const failed = await host.run(['systemctl', 'list-units', '--failed', '--plain', '--no-legend']);
    assert.equal(failed.stdout, '');
    const active = await host.run([
      'systemctl',
      'is-active',
      'caddy',
      'postgresql',
      'sshd',
      'systemd-machined',
      'nix-daemon.socket',
    ]);
    assert.deepEqual([...new Set(active.stdout.split('\n'))], ['active']);
    assert.equal((await host.run(['psql', '-XAtU', 'postgres', '-c', 'select 1'])).stdout, '1');
    // Reached from the machine, as a browser test reaches it; no route is published yet.
    assert.equal((await fetch(`http://${host.address}/`)).status, 404);
    assert.equal((await host.run(['cat', '/proc/1/comm'])).stdout, 'systemd');
  } finally {
    await host.down();
  }
  assert.equal(existsSync(traces[0] ?? ''), false, 'its state directory is gone');
  assert.deepEqual(tracesOf(process.pid), []);
  await host.down();
});

hostTest('several hosts run at once, each with its own network, store and database', async () => {
  await using first = await bringUpTestHost();
  await using second = await bringUpTestHost();
  assert.notEqual(first.address, second.address);
  await first.run(['psql', '-XU', 'postgres', '-c', 'create database only_here']);
  const elsewhere = await second.run([
    'psql',
    '-XAtU',
    'postgres',
    '-c',
    "select count(*) from pg_database where datname = 'only_here'",
  ]);
  assert.equal(elsewhere.stdout, '0');
  await first.run(['ip', 'link', 'add', 'only-here', 'type', 'veth']);
  assert.notEqual((await second.run(['ip', 'link', 'show', 'only-here'], { reject: false })).exitCode, 0);
});

hostTest('files survive a power cut of the host, and it boots again', async () => {
  await using host = await bringUpTestHost();
  await host.run(['psql', '-XU', 'postgres', '-c', 'create database durable']);
  await host.run(['sh', '-c', 'echo kept >/var/lib/berth/note; echo kept >/etc/note']);
  await host.reboot();
  assert.equal((await host.run(['cat', '/var/lib/berth/note', '/etc/note'])).stdout, 'kept\nkept');
  const rows = await host.run([
    'psql',
    '-XAtU',
    'postgres',
    '-c',
    "select count(*) from pg_database where datname = 'durable'",
  ]);
  assert.equal(rows.stdout, '1');
});

hostTest('a host whose owner is killed with SIGKILL is removed all the same', async () => {
  const owner = spawn(process.execPath, [join(import.meta.dirname, 'hold-host.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(owner.stdout, 'data');
  const [state, cgroup, link] = tracesOf(owner.pid);
  assert.ok(state !== undefined && cgroup !== undefined && link !== undefined, 'the owner should have a host up');
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  // The state directory is removed last, when processes, cgroup and link are gone.
  await eventually(
    () => !existsSync(state) && tracesOf(owner.pid).length === 0,
    () => `still there: ${state}`,
  );
});

hostTest('our nixos-container passes the conformance script unchanged', async () => {
  // The script gives systemd two seconds for five starts of a guest that dies (check 69), on however busy a machine.
  await using host = await bringUpTestHost({ nice: -15 });
  const run = await host.run(['bash', join(project, 'test/fixtures/nixos-container-conformance.sh')], {
    cwd: '/tmp',
    env: { FLAKE: join(project, 'test/host/closures') },
    reject: false,
  });
  const failed = run.stdout.split('\n').filter((line) => line.startsWith('FAIL'));
  assert.deepEqual(failed, [], run.stdout);
  assert.match(run.stdout, /^76 checks, 0 failed$/m);
});

void test('a machine that lacks packages is told all of them, with the command that installs them', () => {
  const path = process.env['PATH'];
  assert.ok(debianPackages.includes('systemd-container') && debianPackages.includes('postgresql-15'));
  const text = whyNoTestHost({ searchPath: ['/nonexistent'], isRoot: true });
  assert.match(text ?? '', /apt-get install --no-install-recommends .*caddy.*nix-bin.*systemd-container/);
  assert.match(whyNoTestHost({ searchPath: (path ?? '').split(':'), isRoot: false }) ?? '', /needs root/);
});
