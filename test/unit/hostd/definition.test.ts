/** The texts that make a container ours. cgroup limits cannot be enforced on the test host (docs/reference/security.md), so the text is what is tested. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  confLines,
  limitsFromConf,
  mountUnitText,
  nspawnFlags,
  unitSettings,
} from '../../../webhook/hostd/definition.ts';
import { placeOf } from '../../../webhook/hostd/settings.ts';
import { instanceNameOf } from '../../../webhook/core/names.ts';
import { parsePool } from '../../../webhook/core/slots.ts';

const pool = parsePool('10.100.0.0/16') ?? assert.fail();
const place = (slot: number) => placeOf({ pool, staging: '/var/lib/berth/instances' }, instanceNameOf(slot));
const limits = { memoryMiB: 1_024, cpuPercent: 150, tasks: 512, diskMiB: 4_096 };

test('flags for systemd-nspawn: an own range of users, nothing gained, nothing spared', () => {
  assert.deepEqual(nspawnFlags(place(1)), [
    '--private-users=589824:65536',
    '--private-users-ownership=chown',
    '--no-new-privileges=yes',
    '--drop-capability=CAP_AUDIT_CONTROL,CAP_AUDIT_WRITE,CAP_LEASE,CAP_MKNOD,CAP_NET_BROADCAST,CAP_NET_RAW,CAP_SYS_PTRACE,CAP_SYS_TTY_CONFIG',
    '--system-call-filter=~@keyring',
    '--system-call-filter=~bpf',
    '--system-call-filter=~io_uring_enter',
    '--system-call-filter=~io_uring_register',
    '--system-call-filter=~io_uring_setup',
    '--system-call-filter=~perf_event_open',
    '--system-call-filter=~userfaultfd',
    '--link-journal=no',
    '--inaccessible=/nix/var/nix/daemon-socket',
  ]);
  for (const flag of nspawnFlags(place(77)))
    assert.match(flag, /^--[^\s"'\\$]+$/, 'split at blanks by whoever reads the conf');
});

test('the unit is limited, and the guest’s own systemd is not at the app’s expense', () => {
  const [before, service] = unitSettings(place(1), limits).split('\n\n');
  assert.match(before ?? '', /^\[Unit\]\nAssertPathIsSymbolicLink=!\/var\/lib\/nixos-containers\/p1\/usr\n/);
  assert.equal(
    service,
    '[Service]\nMemoryMax=1088M\nMemorySwapMax=0\nCPUQuota=150%\nTasksMax=576\nLimitCORE=0\nTimeoutStopSec=10s\n',
  );
});

test('limits are read back from the conf file as they were written; a conf of somebody else has none', () => {
  assert.deepEqual(limitsFromConf(confLines(place(3), limits, null)), limits);
  assert.equal(limitsFromConf('PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.1.1\n'), null);
  assert.equal(limitsFromConf('BERTH_MEMORY_MIB=1024\nBERTH_CPU_PERCENT=x\nBERTH_TASKS=5\nBERTH_DISK_MIB=64\n'), null);
});

test('the disk is mounted without set-user-ID bits and devices, by a unit with the name that systemd demands', () => {
  assert.equal(place(3).mountUnit, 'var-lib-nixos\\x2dcontainers-p3.mount');
  const text = mountUnitText(place(3));
  assert.match(text, /^What=\/var\/lib\/berth-disks\/p3\.ext4$/m);
  assert.match(text, /^Where=\/var\/lib\/nixos-containers\/p3$/m);
  assert.match(text, /^Options=loop,nosuid,nodev,/m);
});

test('everything of a container follows from its slot, and ranges of users never meet', () => {
  const p142 = place(142);
  assert.equal(p142.unit, 'container@p142.service');
  assert.equal(p142.link, 've-p142');
  assert.deepEqual(p142.addresses, { host: '10.100.1.28', instance: '10.100.1.29' });
  assert.equal(p142.conf, '/etc/nixos-containers/p142.conf');
  assert.equal(p142.staged, '/var/lib/berth/instances/p142');
  const last = place(pool.slotMax);
  assert.ok(last.uid + 65_536 <= 2 ** 32, 'the last range ends inside of 32 bits');
  const starts = Array.from({ length: pool.slotMax }, (_, index) => place(index + 1).uid);
  assert.equal(new Set(starts.map((uid) => uid >>> 16)).size, pool.slotMax);
  assert.ok(starts.every((uid) => uid % 65_536 === 0 && uid >= 524_288));
});
