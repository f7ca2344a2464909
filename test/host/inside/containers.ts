import assert from 'node:assert/strict';
import { existsSync, readFileSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { OperatorError } from '../../../webhook/core/errors.ts';
import {
  aManifest,
  anInstance,
  answerOf,
  aRuntime,
  bringUp,
  eventually,
  host,
  hostd,
  hostStatus,
  noAbort,
  startHostd,
  webApp,
} from './a-host-runtime.ts';
import { inventory, isAsBefore } from './an-inventory.ts';

const runtime = aRuntime();
const withSetup = aManifest({ setup: { command: 'echo "$GREETING" >greeting && pwd' } });
before(async () => {
  startHostd();
  // The first lives leave what is made once: closures, directories, locks.
  for (const manifest of [aManifest(), withSetup]) {
    const spec = await anInstance(runtime, 2, { manifest });
    await bringUp(runtime, spec);
    await runtime.remove(spec.name);
  }
});
after(() => host('systemctl', 'stop', 'berth-hostd'));

test('an instance comes up, answers, says what it does, stops, comes back, and is removed without a trace', async () => {
  const clean = inventory();
  const spec = await anInstance(runtime, 3, {
    manifest: withSetup,
    environment: { GREETING: `it's "$(x)" \`y\`` },
  });
  assert.equal((await runtime.observe(spec.name))?.running, false);
  await bringUp(runtime, spec);
  const url = `http://${spec.addresses.instance}:3000/`;
  assert.equal(await answerOf(url), 'hello');
  assert.deepEqual(runtime.upstreamsOf(spec), { '3000': { address: '10.100.0.7', port: 3000 } });

  const observed = await runtime.observe(spec.name, { services: true });
  assert.deepEqual(observed, { name: 'p3', running: true, services: [{ name: 'web', state: 'running', restarts: 0 }] });
  const lines: string[] = [];
  for await (const line of runtime.logs(spec.name, { follow: false, tailLines: 100, signal: noAbort }))
    lines.push(`${line.source}: ${line.text}`);
  assert.ok(lines.includes('setup: /home/preview/app') && lines.includes('web: listening'), lines.join('\n'));
  assert.equal(readFileSync('/var/lib/nixos-containers/p3/home/preview/app/greeting', 'utf8'), `it's "$(x)" \`y\`\n`);

  await runtime.stop(spec.name);
  assert.equal((await runtime.observe(spec.name))?.running, false);
  await runtime.start(spec, noAbort);
  assert.equal(await answerOf(url), 'hello');

  await runtime.remove(spec.name);
  await runtime.remove(spec.name);
  assert.equal(await runtime.observe(spec.name), null);
  await isAsBefore(clean);
});

test('that a container ended is seen, whoever ended it, and that somebody started it again', async () => {
  const spec = await anInstance(runtime, 3);
  await bringUp(runtime, spec);
  const isRunning = async () => (await runtime.observe(spec.name))?.running;
  assert.equal(await isRunning(), true);
  host('systemctl', 'stop', 'container@p3.service');
  assert.equal(await isRunning(), false);
  host('systemctl', 'start', 'container@p3.service');
  assert.equal(await isRunning(), true);
  host('systemctl', 'kill', '--signal=SIGKILL', 'container@p3.service');
  await eventually(async () => (await isRunning()) === false, 'a killed one is seen');
  await runtime.remove(spec.name);
  assert.equal(await runtime.observe(spec.name), null);
});

test('every process of a container is nobody on the host: mapped, no new privileges, filtered, without what it does not need', async () => {
  const spec = await anInstance(runtime, 4);
  await bringUp(runtime, spec);
  await answerOf(`http://${spec.addresses.instance}:3000/`);
  const cgroup = host('systemctl', 'show', 'container@p4', '--property=ControlGroup', '--value');
  const pids = host('sh', '-c', `cat $(find /sys/fs/cgroup${cgroup}/payload -name cgroup.procs)`)
    .split('\n')
    .filter(Boolean);
  assert.ok(pids.length >= 4, `only ${pids.length} processes`);
  const base = 524_288 + 4 * 65_536;
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
    const what = `${field('Name')} (${pid})`;
    for (const uid of field('Uid').split('\t'))
      assert.ok(Number(uid) >= base && Number(uid) < base + 65_536, `${what} has uid ${uid}`);
    assert.equal(field('NoNewPrivs'), '1', what);
    assert.equal(field('Seccomp'), '2', what);
    // linux/capability.h: 11 NET_BROADCAST, 13 NET_RAW, 16 SYS_MODULE, 17 SYS_RAWIO, 19 SYS_PTRACE, 20 SYS_PACCT, 25 SYS_TIME, 26 SYS_TTY_CONFIG, 27 MKNOD,
    // 28 LEASE, 29 AUDIT_WRITE, 30 AUDIT_CONTROL, 34 SYSLOG, 36 BLOCK_SUSPEND, 37 AUDIT_READ, 38 PERFMON, 39 BPF
    for (const bit of [11n, 13n, 16n, 17n, 19n, 20n, 25n, 26n, 27n, 28n, 29n, 30n, 34n, 36n, 37n, 38n, 39n])
      for (const set of ['CapBnd', 'CapEff', 'CapPrm', 'CapInh', 'CapAmb'])
        assert.equal((BigInt(`0x${field(set)}`) >> bit) & 1n, 0n, `${what}: capability ${bit} in ${set}`);
    assert.equal(readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/).join(' '), `0 ${base} 65536`);
  }
  const inside = (...argv: string[]) =>
    hostStatus('systemd-run', '-M', 'p4', '--quiet', '--pipe', '--wait', '--collect', '--', ...argv);
  assert.equal(
    inside('/bin/sh', '-c', 'test -S /nix/var/nix/daemon-socket/socket'),
    1,
    'the Nix daemon must be out of reach',
  );
  assert.equal(inside('/bin/sh', '-c', 'ls /nix/store >/dev/null'), 0, 'the store is readable');
  assert.notEqual(inside('/bin/sh', '-c', 'echo x >/proc/sys/kernel/core_pattern'), 0);
  assert.notEqual(inside('/usr/bin/mknod', '/tmp/disk', 'b', '8', '0'), 0);
  await runtime.remove(spec.name);
});

test('limits of the manifest are on the unit before its first start, also after a reboot of the host took them away', async () => {
  const spec = await anInstance(runtime, 5, {
    manifest: aManifest({ limits: { memoryMiB: 256, cpuPercent: 50, tasks: 100 } }),
  });
  await bringUp(runtime, spec);
  const shown = () =>
    host('systemctl', 'show', 'container@p5', '--property=MemoryMax,CPUQuotaPerSecUSec,TasksMax,TimeoutStopUSec');
  const expected = `TimeoutStopUSec=10s\nCPUQuotaPerSecUSec=500ms\nMemoryMax=${(256 + 64) * 1024 * 1024}\nTasksMax=164`;
  assert.equal(shown(), expected);
  await runtime.stop(spec.name);
  host('rm', '-rf', '/run/systemd/system/container@p5.service.d');
  host('systemctl', 'daemon-reload');
  await runtime.start(spec, noAbort);
  assert.equal(shown(), expected);
  await runtime.remove(spec.name);
});

test('a setup that fails says why; one that hangs is ended in its time; a repeated one begins from the beginning', async () => {
  const failing = await anInstance(runtime, 6, {
    manifest: aManifest({ setup: { command: 'echo about to fail; exit 3' } }),
  });
  await assert.rejects(runtime.setUp(failing, noAbort), (error: OperatorError) => {
    assert.equal(error.code, 'SETUP_FAILED');
    assert.match(error.detail ?? '', /about to fail/);
    return true;
  });
  await runtime.remove(failing.name);

  const hanging = await anInstance(runtime, 6, {
    manifest: aManifest({ setup: { command: 'echo waiting; sleep 600', timeoutSeconds: 1 } }),
  });
  await assert.rejects(runtime.setUp(hanging, noAbort), { code: 'SETUP_TIMED_OUT' });
  await eventually(() => hostStatus('pgrep', '-f', 'sleep 600') !== 0, 'the setup is gone');
  const stop = new AbortController();
  const underWay = runtime.setUp(hanging, stop.signal);
  await eventually(() => hostStatus('pgrep', '-f', 'sleep 600') === 0, 'the setup runs');
  stop.abort(new Error('overtaken'));
  await assert.rejects(underWay, /overtaken/);
  await eventually(() => hostStatus('pgrep', '-f', 'sleep 600') !== 0, 'the setup is gone after the abort');
  await runtime.remove(hanging.name);

  const once = await anInstance(runtime, 7, {
    manifest: aManifest({ setup: { command: 'test ! -e mark && touch mark' } }),
  });
  await runtime.setUp(once, noAbort);
  await runtime.setUp(once, noAbort);
  await runtime.remove(once.name);
});

test('a service that ends is restarted and counted; the container lives on', async () => {
  const spec = await anInstance(runtime, 8, { files: { 'server.js': 'console.log("going down"); process.exit(1);' } });
  await bringUp(runtime, spec);
  await eventually(
    async () => ((await runtime.observe(spec.name, { services: true }))?.services[0]?.restarts ?? 0) >= 2,
    'two restarts',
  );
  const observed = await runtime.observe(spec.name);
  assert.equal(observed?.running, true);
  await runtime.remove(spec.name);
});

test('trap 1: a container that is still starting is stopped before it is destroyed, and does not come back', async () => {
  const clean = inventory();
  const spec = await anInstance(runtime, 9);
  const starting = runtime.start(spec, noAbort).catch(() => undefined);
  await eventually(() => hostStatus('machinectl', 'status', 'p9') === 0, 'the machine is registered');
  await runtime.remove(spec.name);
  await starting;
  await runtime.remove(spec.name);
  await isAsBefore(clean);
});

test('traps 2 and 3: a guest that dies is stopped for good, and its name can be used at once', async () => {
  const dies = host(
    'nix',
    'build',
    '--no-link',
    '--json',
    `path:${import.meta.dirname}/../closures#nixosConfigurations.dies.config.system.build.toplevel`,
  );
  const system = (JSON.parse(dies) as { outputs: { out: string } }[])[0]?.outputs.out ?? null;
  const spec = await anInstance(runtime, 10);
  await assert.rejects(runtime.start({ ...spec, system }, noAbort), (error: OperatorError) => {
    assert.equal(error.code, 'START_FAILED');
    assert.match(error.detail ?? '', /error code 3/);
    return true;
  });
  // Failed, if systemd had spent its attempts before it was stopped.
  assert.match(host('systemctl', 'show', 'container@p10', '--property=ActiveState', '--value'), /^(inactive|failed)$/);
  // The start limit of the unit is spent now; reset-failed gives it back.
  for (let attempt = 0; attempt < 6; attempt += 1)
    await runtime.start({ ...spec, system }, noAbort).catch(() => undefined);
  await hostd.ask({ verb: 'remove-container', name: spec.name });
  await runtime.start(spec, noAbort);
  assert.equal(await answerOf(`http://${spec.addresses.instance}:3000/`), 'hello');
  await runtime.remove(spec.name);
});

test('trap 8: the same container asked for twice at once is made once', async () => {
  const spec = await anInstance(runtime, 11);
  const results = await Promise.allSettled([runtime.start(spec, noAbort), runtime.start(spec, noAbort)]);
  assert.ok(results.some((result) => result.status === 'fulfilled'));
  assert.equal(await answerOf(`http://${spec.addresses.instance}:3000/`), 'hello');
  await Promise.all([runtime.remove(spec.name), runtime.remove(spec.name)]);
  assert.equal(await runtime.observe(spec.name), null);
});

test('an existing root is never reused: what a half-destroyed namesake left is removed first', async () => {
  mkdirSync('/var/lib/nixos-containers/p12/home', { recursive: true });
  writeFileSync('/var/lib/nixos-containers/p12/home/secret', 'of somebody else');
  const spec = await anInstance(runtime, 12);
  assert.deepEqual(
    (await runtime.list()).map((each) => each.name),
    ['p12'],
  );
  await assert.rejects(
    hostd.ask({
      verb: 'create-container',
      name: spec.name,
      system: spec.system ?? '',
      environment: {},
      limits: { memoryMiB: 64, cpuPercent: 5, tasks: 16, diskMiB: 64 },
      units: null,
    }),
    { code: 'RUNTIME_FAILED' },
  );
  await runtime.start(spec, noAbort);
  assert.equal(existsSync('/var/lib/nixos-containers/p12/home/secret'), false);
  await runtime.remove(spec.name);
});

test('a creation that was cut off is seen as leftovers, never started, and replaced', async () => {
  const spec = await anInstance(runtime, 13);
  host(
    'nixos-container',
    'create',
    'p13',
    '--system-path',
    spec.system ?? '',
    '--host-address',
    '10.100.0.26',
    '--local-address',
    '10.100.0.27',
  );
  assert.equal((await hostd.ask({ verb: 'observe-container', name: spec.name }))?.state, 'leftovers');
  await assert.rejects(hostd.ask({ verb: 'start-container', name: spec.name }), { code: 'RUNTIME_FAILED' });
  await runtime.start(spec, noAbort);
  assert.equal(await answerOf(`http://${spec.addresses.instance}:3000/`), 'hello');
  await runtime.remove(spec.name);
});

test('what is prepared while files are placed is taken once, by a creation from the same; else it is leftovers', async () => {
  const spec = await anInstance(runtime, 14, { manifest: withSetup, environment: { GREETING: 'hello' } });
  const url = `http://${spec.addresses.instance}:3000/`;
  // Of the file, which is made anew with the disk; the number of its inode comes back.
  const diskOf = () => statSync('/var/lib/berth-disks/p14.ext4', { bigint: true }).birthtimeNs;
  const stateOf = async () => (await hostd.ask({ verb: 'observe-container', name: spec.name }))?.state;
  const removeContainer = () => hostd.ask({ verb: 'remove-container', name: spec.name });

  // By a hostd that does not remember it.
  await runtime.prepare(spec);
  host('systemctl', 'restart', 'berth-hostd');
  await eventually(
    async () => (await stateOf().catch(() => null)) === 'leftovers',
    'hostd is back and has forgotten it',
  );
  await bringUp(runtime, spec);
  assert.equal(await answerOf(url), 'hello');
  await removeContainer();

  const clean = inventory();
  await runtime.prepare(spec);
  assert.equal(await stateOf(), 'prepared');
  assert.equal((await runtime.observe(spec.name))?.running, false);
  await assert.rejects(hostd.ask({ verb: 'start-container', name: spec.name }), { code: 'RUNTIME_FAILED' });
  const disk = diskOf();
  await bringUp(runtime, spec);
  assert.equal(await answerOf(url), 'hello');
  assert.equal(diskOf(), disk);
  // One that runs is not prepared again, and a second setup does not build on the first.
  await runtime.prepare(spec);
  assert.equal(await stateOf(), 'running');
  await runtime.setUp(spec, noAbort);
  assert.notEqual(diskOf(), disk);
  await removeContainer();

  // For another system.
  await runtime.prepare({ ...spec, manifest: aManifest({ limits: { ...spec.manifest.limits, diskMiB: 2_048 } }) });
  await assert.rejects(runtime.setUp(spec, noAbort), { code: 'RUNTIME_FAILED' });
  assert.equal(await stateOf(), 'leftovers');
  await runtime.setUp(spec, noAbort);
  await removeContainer();

  await runtime.prepare(spec);
  await removeContainer();
  await isAsBefore(clean);
  await runtime.remove(spec.name);
});

test('twenty containers come up side by side, each with its own address, and go again', async () => {
  const clean = inventory();
  const specs = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      anInstance(runtime, 200 + index, { files: webApp(`I am ${200 + index}`) }),
    ),
  );
  await Promise.all(specs.map((spec) => bringUp(runtime, spec)));
  const answers = await Promise.all(specs.map((spec) => answerOf(`http://${spec.addresses.instance}:3000/`)));
  assert.deepEqual(
    answers,
    specs.map((spec) => `I am ${spec.slot}`),
  );
  await Promise.all(specs.map((spec) => runtime.remove(spec.name)));
  await isAsBefore(clean);
});

test('one closure for the same data: built once for many requests at a time, and not at all for a change that does not touch it', async () => {
  const manifest = aManifest({ services: [{ name: 'other', command: 'exec node server.js', port: 4000 }] });
  const built = await Promise.all(Array.from({ length: 8 }, () => runtime.buildSystem(manifest, noAbort)));
  const paths = built.map((each) => each?.path);
  assert.equal(new Set(paths).size, 1);
  const elsewhere = aManifest({
    services: [{ name: 'other', command: 'exec node server.js', port: 4000 }],
    health: { path: '/up' },
    environment: { A: 'b' },
  });
  assert.deepEqual(await runtime.buildSystem(elsewhere, noAbort), { path: paths[0], isCached: true });
  host('nix-store', '--gc');
  assert.equal(existsSync(paths[0] ?? ''), true, 'a kept closure survives garbage collection');
  await assert.rejects(
    runtime.buildSystem(aManifest({ packages: ['no-such-package'] }), noAbort),
    (error: OperatorError) => {
      assert.equal(error.code, 'BUILD_FAILED');
      assert.match(error.detail ?? '', /no-such-package/);
      return true;
    },
  );
});

test('hostd takes requests from the operator only, and only whole, typed ones', async () => {
  const connectAs = (user: string) =>
    hostStatus(
      'runuser',
      '-u',
      user,
      '--',
      '/usr/bin/perl',
      '-MIO::Socket::UNIX',
      '-e',
      'exit(IO::Socket::UNIX->new("/run/berth-hostd/socket") ? 0 : 1)',
    );
  assert.equal(connectAs('berth'), 0);
  assert.equal(connectAs('nobody'), 1);
  assert.equal(connectAs('caddy'), 1);
  const bad: unknown[] = [
    { verb: 'start-container', name: '../p1' },
    { verb: 'start-container', name: 'p0' },
    { verb: 'start-container', name: 'p1', extra: true },
    { verb: 'run', argv: ['id'] },
    {
      verb: 'create-container',
      name: 'p1',
      system: '/nix/store/../../etc',
      environment: {},
      limits: { memoryMiB: 64, cpuPercent: 5, tasks: 16, diskMiB: 64 },
      units: null,
    },
    {
      verb: 'create-container',
      name: 'p1',
      system: '/etc',
      environment: { LD_PRELOAD: 'x' },
      limits: { memoryMiB: 64, cpuPercent: 5, tasks: 16, diskMiB: 64 },
      units: null,
    },
    { verb: 'start-unit', name: 'p1', unit: 'sshd.service' },
    { verb: 'switch-answers', address: '10.100.0.3', to: null },
  ];
  for (const request of bad)
    await assert.rejects(hostd.ask(request as never), { code: 'BAD_REQUEST' }, JSON.stringify(request));
});
