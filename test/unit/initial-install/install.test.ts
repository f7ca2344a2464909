import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'smol-toml';
import { ARescueSystem, dedicated } from '../../support/a-rescue-system.ts';

const leftovers = (machine: ARescueSystem) => readdirSync(machine.folder).filter((name) => name.startsWith('berth-'));

test('a whole installation: check, confirm, then one phase after another, and nothing stays behind', () => {
  using machine = new ARescueSystem();
  const run = machine.install(['berth-1'], 'berth-1\n');
  assert.equal(run.status, 0, run.stderr);
  assert.deepEqual(machine.phases(), ['kexec', 'disko', 'install,reboot']);
  assert.match(run.stdout, /✓ disks\.devices\[0\]: S675NX0T000001, 512 GB, SAMSUNG MZVL2512HCJQ-00B00\n/);
  assert.match(
    run.stdout,
    /\n6 ✓ {3}0 ⚠ {3}0 ✗\nEverything on these disks will be ERASED: S675NX0T000001, S675NX0T000002\n/,
  );
  assert.match(run.stdout, /✓ berth-1 runs NixOS 26\.05/);
  assert.match(run.stdout, /nixos-rebuild switch --flake \/etc\/nixos\/server-config#berth-1/);
  const kexec = machine.ran().find((line) => line.startsWith('nix ')) ?? '';
  assert.match(
    kexec,
    /run path:\S+\/source\?dir=initial-install#nixos-anywhere -- --flake path:\S+#berth-1 --build-on remote --phases kexec --target-host root@203\.0\.113\.10$/,
  );
  assert.deepEqual(leftovers(machine), []);
});

test('nothing is written without the host’s name typed, or --yes', () => {
  using machine = new ARescueSystem();
  for (const answer of ['', 'yes\n', 'berth-2\n']) {
    const run = machine.install(['berth-1'], answer);
    assert.equal(run.status, 3, JSON.stringify(answer));
    assert.match(run.stderr, /not confirmed; nothing was written/);
  }
  assert.deepEqual(machine.phases(), []);
  assert.equal(machine.install(['berth-1', '--yes']).status, 0);
  assert.equal(machine.phases().length, 3);
});

test('another host key is refused before anything is sent (S21)', () => {
  using machine = new ARescueSystem();
  machine.describe((text) => text.replaceAll(machine.fingerprint, `SHA256:${'A'.repeat(43)}`));
  const run = machine.install(['berth-1', '--yes']);
  assert.equal(run.status, 3);
  assert.match(
    run.stderr,
    new RegExp(`shows the host key ${machine.fingerprint.replaceAll(/[+/]/g, '\\$&')}, not SHA256:A+`),
  );
  assert.deepEqual(
    machine.ran().filter((line) => !line.startsWith('ssh-keyscan')),
    [],
  );
});

test('a machine that is not the one described is refused, naming key and value', () => {
  using machine = new ARescueSystem();
  machine.describe((text) =>
    text
      .replace('serial = "S675NX0T000002"', 'serial = "S675NX0T000009"')
      .replace('90:1b:0e:00:00:01', '90:1b:0e:00:00:ff')
      .replace('firmware = "bios"', 'firmware = "uefi"'),
  );
  const run = machine.install(['berth-1', '--yes']);
  assert.equal(run.status, 3);
  assert.match(run.stderr, /disks\.devices\[1\]\.serial: the file says S675NX0T000009, \S+ is S675NX0T000002/);
  assert.match(run.stderr, /firmware: the file says uefi, the machine has bios/);
  assert.match(run.stderr, /network\.mac \(eth0\): the file says 90:1b:0e:00:00:ff, the machine has 90:1b:0e:00:00:01/);
  assert.deepEqual(machine.phases(), []);
});

test('what a person should weigh is a warning, and does not stop the installation', () => {
  using machine = new ARescueSystem({ ...dedicated, 'cat /proc/meminfo': 'MemTotal:        1000000 kB\n' });
  machine.describe((text) =>
    text
      .replace('layout = "mirrored"', 'layout = "single"')
      .replace(/\[\[hosts\.berth-1\.disks\.devices\]\]\npath = ".*2"\nserial = ".*2"\n/, '')
      .replace(', "2001:db8:1::2/64"', ''),
  );
  const run = machine.install(['berth-1', '--yes']);
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stdout, /⚠ \/dev\/nvme1n1 \(S675NX0T000002, 512 GB\) is not used by this layout/);
  assert.match(run.stdout, /⚠ network\.addresses: the machine has 2001:db8:1::2\/64 now, and will not afterwards/);
  assert.match(run.stdout, /⚠ memory: 1 GB is little/);
  assert.match(run.stdout, /\n4 ✓ {3}3 ⚠ {3}0 ✗\n/);
});

test('disks are looked at again in the installer: others there, and nothing is formatted', () => {
  using machine = new ARescueSystem();
  const after = join(machine.folder, 'after-kexec');
  const lsblk = 'lsblk --json --bytes --nodeps --output PATH,SERIAL,MODEL,SIZE,TYPE';
  writeFileSync(after, dedicated[lsblk].replace('S675NX0T000002', 'ANOTHERDISK'));
  machine.program(
    'nix',
    `sum=$(printf %s '${lsblk}' | sha256sum | cut -d' ' -f1); cp ${after} ${machine.folder}/answers/$sum`,
  );
  const run = machine.install(['berth-1', '--yes']);
  assert.equal(run.status, 3);
  assert.match(run.stderr, /the disks are not those confirmed:\n {2}disks\.devices\[1\]\.serial/);
  assert.deepEqual(machine.phases(), ['kexec']);
});

test('a phase that fails says how to go on, and --from goes on there', () => {
  using machine = new ARescueSystem();
  machine.program('nix', 'case "$*" in *"--phases disko"*) exit 7;; esac');
  const failed = machine.install(['berth-1', '--yes']);
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /nix ended with status 7\n +.*go on with --from disko/);
  machine.program('nix', '');
  assert.equal(machine.install(['berth-1', '--yes', '--from', 'disko']).status, 0);
  assert.deepEqual(machine.phases(), ['kexec', 'disko', 'disko', 'install,reboot']);
  assert.equal(machine.install(['berth-1', '--skip-install']).status, 0);
  assert.equal(machine.phases().length, 4);
});

test('an encrypted machine: a passphrase by file, and a host key of its own for the initrd', () => {
  using machine = new ARescueSystem();
  machine.describe((text) => text.replace('encrypted = false', 'encrypted = true'));
  const without = machine.install(['berth-1', '--yes']);
  assert.equal(without.status, 2);
  assert.match(without.stderr, /hosts\.berth-1\.disks\.encrypted: the passphrase is missing/);

  const passphrase = join(machine.folder, 'passphrase');
  writeFileSync(passphrase, 'canary-9f2c');
  // Looks at the files as nixos-anywhere would get them.
  machine.program(
    'nix',
    `for a; do case "$p" in --extra-files) (cd "$a" && find . -printf '%m %p\\n' | sort) > ${machine.folder}/extra;; esac; p=$a; done`,
  );
  const run = machine.install(['berth-1', '--yes', '--passphrase-file', passphrase]);
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stdout, /ssh -p 2222 root@203\.0\.113\.10 {3}\(host key SHA256:/);
  const disko = machine.ran().find((line) => line.includes('--phases disko')) ?? '';
  assert.match(disko, new RegExp(`--disk-encryption-keys /run/berth-disk-passphrase ${passphrase} `));
  assert.deepEqual(readFileSync(join(machine.folder, 'extra'), 'utf8').trim().split('\n'), [
    '600 ./etc/secrets/initrd/ssh_host_ed25519_key',
    '644 ./etc/secrets/initrd/ssh_host_ed25519_key.pub',
    '700 ./etc/secrets',
    '700 ./etc/secrets/initrd',
    '755 .',
    '755 ./etc',
  ]);
  assert.ok(!run.stdout.includes('canary-9f2c') && !machine.ran().join('\n').includes('canary-9f2c'));
  assert.deepEqual(leftovers(machine), [], 'the initrd’s private key is gone');
});

test('--dry-run contacts nothing and prints files and commands', () => {
  using machine = new ARescueSystem();
  const run = machine.install(['berth-1', '--dry-run']);
  assert.equal(run.status, 0, run.stderr);
  assert.deepEqual(machine.ran(), []);
  assert.match(run.stdout, /hosts\.toml\n# The machines that you install/);
  assert.match(run.stdout, /StrictHostKeyChecking=yes/);
  assert.equal(
    run.stdout.match(/^nix --extra-experimental-features 'nix-command flakes' run .* --phases /gm)?.length,
    3,
  );
});

test('discover prints an entry that the installer accepts once name and key are filled in', () => {
  using machine = new ARescueSystem();
  const run = machine.discover(['203.0.113.10', '--fingerprint', machine.fingerprint]);
  assert.equal(run.status, 0, run.stderr);
  const entry = parse(run.stdout) as { hosts: Record<string, { disks: { devices: { path: string }[] } }> };
  assert.deepEqual(
    entry.hosts['name-it']?.disks.devices.map(({ path }) => path),
    [
      '/dev/disk/by-id/nvme-SAMSUNG_MZVL2512HCJQ-00B00_S675NX0T000001',
      '/dev/disk/by-id/nvme-SAMSUNG_MZVL2512HCJQ-00B00_S675NX0T000002',
    ],
  );
  writeFileSync(
    machine.hostsFile,
    run.stdout.replaceAll('name-it', 'box').replace('<your public key>', 'AAAAC3Nz you@laptop'),
  );
  assert.equal(machine.install(['box', '--yes']).status, 0);
  assert.equal(machine.discover(['-oProxyCommand=id', '--fingerprint', machine.fingerprint]).status, 2);
});

test('what a disk says of itself is text, never syntax', () => {
  const lsblk = 'lsblk --json --bytes --nodeps --output PATH,SERIAL,MODEL,SIZE,TYPE';
  const hostile = JSON.parse(dedicated[lsblk]) as { blockdevices: { path: string; model: string | null }[] };
  for (const disk of hostile.blockdevices) if (disk.model) disk.model = 'EVIL\n[hosts.other]\u001b[2J\r';
  using machine = new ARescueSystem({ ...dedicated, [lsblk]: JSON.stringify(hostile) });
  const run = machine.discover(['203.0.113.10', '--fingerprint', machine.fingerprint]);
  assert.equal(run.status, 0, run.stderr);
  assert.deepEqual(Object.keys((parse(run.stdout) as { hosts: object }).hosts), ['name-it']);
  assert.doesNotMatch(run.stdout.replaceAll('\n', ''), /\p{Cc}/u);
});

test('wrong usage is status 2 and touches nothing', () => {
  using machine = new ARescueSystem();
  assert.equal(machine.install(['berth-9']).status, 2);
  assert.equal(machine.install(['berth-1', '--from', 'nowhere']).status, 2);
  assert.equal(machine.install(['__proto__']).status, 2);
  assert.equal(machine.install([]).status, 2);
  assert.deepEqual(machine.ran(), []);
});
