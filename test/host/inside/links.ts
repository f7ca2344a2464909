/**
 * Promise S7: the host never follows a path that a container controls. Root of a container swaps files and folders of its own for links to canaries of the host, as
 * fast as it can, while the host does all that it ever does to a container.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import type { OperatorError } from '../../../webhook/core/errors.ts';
import type { InstanceSpec } from '../../../webhook/ports.ts';
import {
  anInstance,
  answerOf,
  aRuntime,
  bringUp,
  eventually,
  host,
  hostd,
  hostStatus,
  startHostd,
} from './a-host-runtime.ts';

const runtime = aRuntime();
/** A tree of the host where every access leaves a mark: times of access are kept strictly, and nobody but root can read or write a file. */
const canaries = '/var/lib/berth-canaries';
const secret = 'only the host may read this';

/** What the host, or a program that it runs, might touch in a container's root; each leads to the same path below the canaries. */
const folders = [
  'etc',
  'var',
  'var/lib',
  'var/lib/private',
  'var/log',
  'var/log/journal',
  'var/empty',
  'root',
  'home',
  'home/preview',
  'home/preview/app',
];
const files = [
  'etc/preview.env',
  'etc/machine-id',
  'etc/os-release',
  'etc/resolv.conf',
  'etc/passwd',
  'etc/profile',
  'etc/localtime',
  'home/preview/app/server.js',
];
/** What nspawn mounts over. */
const mounted = ['dev', 'nix', 'nix/store', 'nix/var', 'nix/var/nix/profiles', 'proc', 'run', 'sys', 'tmp'];

function layCanaries(): void {
  if (hostStatus('mountpoint', '-q', canaries) === 0) host('umount', canaries);
  mkdirSync(canaries, { recursive: true });
  host('mount', '-t', 'tmpfs', '-o', 'strictatime,mode=0755', 'tmpfs', canaries);
  for (const folder of [...folders, 'usr/bin', 'dev', 'nix/var', 'proc', 'run', 'sys', 'tmp'])
    mkdirSync(join(canaries, folder), { recursive: true });
  for (const file of files) writeFileSync(join(canaries, file), secret, { mode: 0o600 });
}

/** Every entry with its mode, owner, size and times; the time of access of files only, because looking at a folder is one. */
function canaryState(): string[] {
  const common = '%P %y %m %U:%G %s %T@ %C@';
  return host('find', canaries, '-type', 'f', '-printf', `${common} %A@\\n`, '-o', '-printf', `${common}\\n`)
    .split('\n')
    .toSorted();
}

/**
 * Runs inside a container, as its root: exchanges each path with a link to its canary and back, in one atomic step each (renameat2, RENAME_EXCHANGE: 316 on x86-64), and
 * says after every round how many exchanges there were.
 */
const racer = `use strict; $| = 1;
my $swaps = 0;
my @pairs;
for my $path (@ARGV) {
  my $link = "/.trap-" . ($path =~ tr{/}{-}r);
  symlink("${canaries}/$path", $link);
  push @pairs, ["/$path", $link];
}
for (;;) {
  for my $pair (@pairs) {
    for (1 .. 40) { $swaps++ if syscall(316, -100, $pair->[0], -100, $pair->[1], 2) == 0; }
  }
  print "$swaps\\n";
}
`;

interface Race {
  readonly swaps: () => number;
  readonly ended: Promise<void>;
}

function race(spec: InstanceSpec): Race {
  const words = [
    '-M',
    spec.name,
    '--quiet',
    '--pipe',
    '--wait',
    '--collect',
    '--',
    '/usr/bin/perl',
    '-e',
    racer,
    ...folders,
    ...files,
  ];
  const child: ChildProcess = spawn('systemd-run', words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let last = 0;
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    last = Number(text.trim().split('\n').at(-1)) || last;
  });
  return { swaps: () => last, ended: new Promise((resolve) => child.once('close', () => resolve())) };
}

before(() => startHostd());
after(() => {
  host('systemctl', 'stop', 'berth-hostd');
  host('umount', canaries);
});

/** Asks as often as it takes; how often it was done. */
async function tried(works: readonly (() => Promise<unknown>)[]): Promise<number> {
  const results = await Promise.all(
    works.map((work) =>
      work().then(
        () => true,
        () => false,
      ),
    ),
  );
  return results.filter(Boolean).length;
}

async function logsOf(spec: InstanceSpec): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of runtime.logs(spec.name, {
    follow: false,
    tailLines: 1_000,
    signal: AbortSignal.timeout(10_000),
  }))
    lines.push(line.text);
  return lines;
}

/** What a command prints inside, as the app's user and as the guest's root in turn. */
async function ran(spec: InstanceSpec, asRoot: boolean): Promise<string> {
  let text = '';
  await runtime.run(
    spec,
    { argv: ['/bin/echo', 'ran'], asRoot },
    {
      input: (async function* () {})(),
      output: async (_stream, chunk) => void (text += chunk.toString()),
      signal: AbortSignal.timeout(10_000),
    },
  );
  if (!text.includes('ran')) throw new Error(text);
  return text;
}

test('S7: 100,000 swaps for links to canaries while the host updates, logs, runs commands, stops, starts and destroys: none is read or changed', async () => {
  const done = { updates: 0, logs: 0, commands: 0, stops: 0, starts: 0, refusedStarts: 0, removals: 0 };
  let swaps = 0;
  layCanaries();
  let old = await anInstance(runtime, 300);
  await bringUp(runtime, old);

  // The control: what reads and writes these paths naively, as root of the host, does hit the canaries.
  const control = race(old);
  const root = `/var/lib/nixos-containers/${old.name}`;
  await eventually(() => {
    try {
      return readFileSync(`${root}/etc/preview.env`, 'utf8') === secret;
    } catch {
      return false;
    }
  }, 'a naive reader is led to a canary');
  await eventually(() => {
    hostStatus('chmod', '0700', `${root}/var/lib`);
    return host('stat', '--format=%a', `${canaries}/var/lib`) === '700';
  }, 'a naive chmod is led to a canary');
  await runtime.remove(old.name);
  await control.ended;

  layCanaries();
  const untouched = canaryState();
  for (let slot = 301; swaps < 100_000 || done.updates < 4; slot += 1) {
    old = await anInstance(runtime, slot);
    await bringUp(runtime, old);
    const racing = race(old);
    await eventually(() => racing.swaps() > 0, 'the racer runs');
    for (let turn = 0; turn < 3; turn += 1) {
      done.logs += await tried([() => logsOf(old)]);
      done.commands += await tried([() => ran(old, true), () => ran(old, false)]);
      await runtime.observe(old.name);
    }
    // The update: the next instance beside it, then this one is stopped, kept, wanted back, and removed.
    const next = await anInstance(runtime, slot + 500);
    await bringUp(runtime, next);
    await answerOf(`http://${next.addresses.instance}:3000/`);
    done.updates += 1;
    await runtime.stop(old.name);
    done.stops += 1;
    await racing.ended;
    swaps += racing.swaps();
    for (const line of await logsOf(old)) assert.equal(line.includes(secret), false);
    done.logs += 1;
    await runtime.start(old, AbortSignal.timeout(60_000)).then(
      () => (done.starts += 1),
      () => (done.refusedStarts += 1),
    );
    await Promise.all([runtime.remove(old.name), runtime.remove(next.name)]);
    done.removals += 2;
    assert.equal(existsSync(`/var/lib/nixos-containers/${old.name}`), false);
    assert.deepEqual(canaryState(), untouched);
  }
  assert.ok(done.logs >= 8 && done.commands >= 4, JSON.stringify(done));
  console.log(`S7: ${swaps} swaps, ${JSON.stringify(done)}, canaries changed or read: 0`);
});

test('S7: whatever a guest that has run left in the way of its next start, the host does not walk through it', async () => {
  layCanaries();
  const spec = await anInstance(runtime, 310);
  await bringUp(runtime, spec);
  await runtime.stop(spec.name);
  const root = `/var/lib/nixos-containers/${spec.name}`;
  const untouched = canaryState();
  const created = join(canaries, 'created');
  const traps: Record<string, string> = Object.fromEntries(
    [...folders, ...files, 'usr', 'usr/bin', ...mounted].map((path) => [path, join(canaries, path)]),
  );
  let refused = 0;
  for (const [path, target] of [
    ...Object.entries(traps),
    ['etc/machine-id', created],
    ['etc/resolv.conf', dirname(created)],
  ] as const) {
    const place = join(root, path);
    const isThere = lstatSync(place, { throwIfNoEntry: false }) !== undefined;
    if (isThere) host('mv', '--no-target-directory', place, `${root}/aside`);
    host('ln', '-s', target, place);
    await runtime.start(spec, AbortSignal.timeout(60_000)).catch((error: OperatorError) => {
      assert.equal(error.code, 'START_FAILED', `${path}: ${error.message}`);
      refused += 1;
    });
    await logsOf(spec);
    await runtime.stop(spec.name);
    assert.deepEqual(canaryState(), untouched, `${path} -> ${target}`);
    rmSync(place, { force: true });
    if (isThere) host('mv', '--no-target-directory', `${root}/aside`, place);
  }
  // The control: the same steps without looking, as NixOS takes them.
  const etc = join(root, 'etc');
  host('mv', etc, `${root}/aside`);
  host('ln', '-s', join(canaries, 'etc'), etc);
  host('chmod', '0700', etc);
  assert.notDeepEqual(canaryState(), untouched);
  host('rm', etc);
  host('mv', `${root}/aside`, etc);
  layCanaries();

  // A reboot that the guest asks for goes past hostd.
  await runtime.start(spec, AbortSignal.timeout(60_000));
  const before = canaryState();
  hostStatus(
    'systemd-run',
    '-M',
    spec.name,
    '--quiet',
    '--wait',
    '--collect',
    '--',
    '/bin/bash',
    '-c',
    `mv /root /r && ln -s ${canaries}/root /root && systemctl reboot --force --force`,
  );
  await eventually(() => hostStatus('machinectl', 'status', spec.name) !== 0, 'the guest is down');
  await eventually(
    () => host('journalctl', `--unit=container@${spec.name}`, '--output=cat', '--no-pager').includes('asserts failed'),
    'its next start is refused',
  );
  assert.deepEqual(canaryState(), before);
  assert.notEqual((await hostd.ask({ verb: 'observe-container', name: spec.name }))?.state, 'running');
  await runtime.remove(spec.name);
  console.log(`S7: ${refused} kinds of link refused at a start`);
});
