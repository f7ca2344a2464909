/** Promise S10, disk: what a preview writes ends at its own limit, and its disk goes, comes back and is cleared away with its container. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { InstanceSpec, LogLine } from '../../../webhook/ports.ts';
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

const MIB = 1024 * 1024;
const runtime = aRuntime();
const smallDisk = aManifest({ limits: { diskMiB: 64 } });
before(async () => {
  startHostd();
  // The first life leaves what is made once.
  const spec = await anInstance(runtime, 2);
  await bringUp(runtime, spec);
  await runtime.remove(spec.name);
});
after(() => host('systemctl', 'stop', 'berth-hostd'));

const diskOf = (spec: InstanceSpec) => `/var/lib/berth-disks/${spec.name}.ext4`;
const urlOf = (spec: InstanceSpec) => `http://${spec.addresses.instance}:3000/`;
/** What the disk's file takes of the host. */
const takenMiB = (spec: InstanceSpec) => (statSync(diskOf(spec)).blocks * 512) / MIB;
/** As root of the guest, who may use more of a file system than others where something is set aside. */
const inside = (spec: InstanceSpec, line: string) =>
  host('systemd-run', '-M', spec.name, '--quiet', '--pipe', '--wait', '--collect', '--', '/bin/bash', '-c', line);

/** Files until there is no room for another; prints how many, and why not more. */
const manyFiles = `mkdir /many && cd /many && perl -e 'my $n = 0; $n++ while open(my $f, ">", $n); print "$n $!"'`;

test('a guest that fills its disk meets its limit, in bytes and in inodes; host and neighbour do not notice', async () => {
  const clean = inventory();
  const [hog, neighbour] = [
    await anInstance(runtime, 60, { manifest: smallDisk }),
    await anInstance(runtime, 61, { files: webApp('neighbour') }),
  ];
  await Promise.all([bringUp(runtime, hog), bringUp(runtime, neighbour)]);

  const unfilledMiB = (await runtime.diskRoom())?.unfilledMiB ?? 0;
  assert.ok(unfilledMiB > 4_000 && unfilledMiB < 4_096 + 64, `${unfilledMiB} MiB may still be taken`);
  assert.match(inside(hog, 'dd if=/dev/zero of=/big bs=1M 2>&1; sync; true'), /No space left on device/);
  const big = Number(inside(hog, 'stat --format=%s /big')) / MIB;
  assert.ok(big > 32 && big < 64, `${big} MiB written`);
  assert.ok(takenMiB(hog) <= 64, `${takenMiB(hog)} MiB of the host`);
  assert.match(inside(hog, 'dd if=/dev/zero of=/home/preview/more bs=1M count=1 2>&1; true'), /No space left/);
  // The neighbour has room, and so has the host.
  inside(neighbour, 'dd if=/dev/zero of=/home/preview/file bs=1M count=64 status=none && sync');
  writeFileSync('/var/lib/berth/of-the-host', Buffer.alloc(16 * MIB));
  host('rm', '/var/lib/berth/of-the-host');
  assert.equal(await answerOf(urlOf(neighbour)), 'neighbour');

  // What it deletes the host gets back.
  inside(hog, 'rm -f /big /home/preview/more; sync');
  await eventually(() => takenMiB(hog) < 32, 'the host has its blocks back');

  const [files = '', why] = inside(hog, manyFiles).split(/ (.*)/);
  assert.equal(why, 'No space left on device');
  assert.ok(Number(files) > 4_000 && Number(files) <= 8_192, `${files} files`);
  assert.ok(takenMiB(hog) <= 64, `${takenMiB(hog)} MiB of the host`);
  inside(neighbour, 'touch /home/preview/another');
  assert.equal(await answerOf(urlOf(neighbour)), 'neighbour');
  assert.equal(await answerOf(urlOf(hog)), 'hello', 'even the app of the hog answers');

  console.log(`disk of 64 MiB: ENOSPC after ${big.toFixed(0)} MiB in one file, after ${files} files`);
  await Promise.all([runtime.remove(hog.name), runtime.remove(neighbour.name)]);
  await isAsBefore(clean);
});

test('a repository that does not fit is refused for its author to see, and leaves nothing', async () => {
  const large = { 'data.bin': 'x'.repeat(80 * MIB) };
  // Where nothing comes after the file that is too large, tar says so in other words.
  for (const files of [{ ...webApp('hello'), ...large }, large]) {
    const spec = await anInstance(runtime, 62, { manifest: smallDisk, files });
    await assert.rejects(runtime.start(spec, noAbort), {
      code: 'SOURCE_REFUSED',
      message: /does not fit on the preview’s disk of 64 MiB/,
    });
    assert.equal(await hostd.ask({ verb: 'observe-container', name: spec.name }), null);
    assert.equal(existsSync(diskOf(spec)), false);
    await runtime.remove(spec.name);
  }
});

test('each instance has a disk of its own, with nothing of another in it', async () => {
  const old = await anInstance(runtime, 64);
  await bringUp(runtime, old);
  inside(old, 'echo old >/home/preview/app/state');
  const next = await anInstance(runtime, 65);
  await bringUp(runtime, next);
  assert.equal(inside(next, 'ls /home/preview/app'), 'server.js');
  const devices = [old, next].map((spec) => statSync(`/var/lib/nixos-containers/${spec.name}`).dev);
  assert.equal(new Set(devices).size, 2);
  await runtime.remove(old.name);
  assert.equal(await answerOf(urlOf(next)), 'hello');
  await runtime.remove(next.name);
});

test('after a reboot of the host a stopped instance has its log, starts with its files, and can be removed unmounted', async () => {
  const clean = inventory();
  const spec = await anInstance(runtime, 66);
  await bringUp(runtime, spec);
  await answerOf(urlOf(spec));
  inside(spec, 'echo kept >/home/preview/app/state; journalctl --sync');
  const reboot = async () => {
    await runtime.stop(spec.name);
    const unit = `var-lib-nixos\\x2dcontainers-${spec.name}.mount`;
    host('systemctl', 'stop', unit);
    host('rm', `/run/systemd/system/${unit}`);
    host('systemctl', 'daemon-reload');
  };
  await reboot();
  const lines: LogLine[] = [];
  for await (const line of runtime.logs(spec.name, { follow: false, tailLines: 100, signal: noAbort }))
    lines.push(line);
  assert.ok(
    lines.some((line) => line.text === 'listening'),
    `${lines.length} lines`,
  );
  await reboot();
  await runtime.start(spec, noAbort);
  assert.equal(inside(spec, 'cat /home/preview/app/state'), 'kept');
  await reboot();
  await runtime.remove(spec.name);
  await isAsBefore(clean);
});

test('hostd is killed again and again while a container is made, started and removed: it ends up whole, or gone', async () => {
  const clean = inventory();
  const spec = await anInstance(runtime, 67);
  const kill = async () => {
    host('systemctl', 'kill', '--signal=SIGKILL', 'berth-hostd');
    await eventually(
      () => hostStatus('systemctl', 'is-active', '--quiet', 'berth-hostd') === 0,
      'hostd is started again',
    );
    startHostd();
  };
  const killedAfter = async (ms: number, work: Promise<unknown>) => {
    const settled = work.catch(() => undefined);
    await Promise.race([delay(ms), settled]);
    await kill();
    await settled;
  };
  // A creation takes about 200 ms and a removal 150 on a quiet machine; the steps in between are 5 to 50 ms long.
  for (let ms = 0; ms <= 300; ms += 20) {
    await killedAfter(ms, runtime.start(spec, noAbort));
    if (ms % 40 === 0) await runtime.start(spec, noAbort);
    await killedAfter(ms, hostd.ask({ verb: 'remove-container', name: spec.name }));
    const state = await hostd.ask({ verb: 'observe-container', name: spec.name });
    if (state?.state === 'leftovers') {
      assert.equal((await runtime.list()).length, 1);
      await assert.rejects(hostd.ask({ verb: 'start-container', name: spec.name }), { code: 'RUNTIME_FAILED' });
    }
  }
  await runtime.start(spec, noAbort);
  assert.equal(await answerOf(urlOf(spec)), 'hello');
  assert.equal(readFileSync('/proc/self/mounts', 'utf8').split(`/${spec.name} ext4`).length, 2, 'one mount of it');
  await runtime.remove(spec.name);
  // A new process has files of its own open.
  const { filesOfHostd: _files, ...others } = clean;
  await isAsBefore(others);
});

test('a host without room makes no further instance, and says so', async () => {
  const spec = await anInstance(runtime, 63);
  host('mount', '-t', 'tmpfs', '-o', 'size=1G', 'tmpfs', '/var/lib/berth-disks');
  try {
    await assert.rejects(runtime.start(spec, noAbort), {
      code: 'RUNTIME_FAILED',
      message: /1024 MiB of disk left: .* tried again by itself, at the latest 5 minutes after/,
    });
    assert.equal((await runtime.diskRoom())?.freeMiB, 1_024);
  } finally {
    host('umount', '/var/lib/berth-disks');
  }
  assert.equal(await hostd.ask({ verb: 'observe-container', name: spec.name }), null);
  await runtime.remove(spec.name);
});
