import { strict as assert } from 'node:assert';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { evaluateJson, evaluationError, findEvaluator, repositoryRoot } from '../../scripts/nix/evaluation.ts';

/** Every disk layout evaluates to a system and to disko's script, with the boot loader that its firmware needs. */
interface Summary {
  system: string;
  script: string;
  mounts: Record<string, string>;
  grubDevices: string[];
  mirroredBoots: string[];
  systemdBoot: boolean;
  luks: string[];
}

const evaluator = findEvaluator();
const first = '/dev/disk/by-id/first';
const second = '/dev/disk/by-id/second';

if (typeof evaluator === 'string') {
  test('the disk layouts evaluate', { skip: evaluator }, () => {});
} else {
  const tree = (path: string) => `(/. + ${JSON.stringify(path)})`;
  const ask = (question: string) =>
    `let d = import (root + "/test/nix/disk-layouts.nix") { inherit t root; nixpkgs = ${tree(evaluator.nixpkgs)}; disko = ${tree(evaluator.disko)}; }; in ${question}`;

  for (const layout of ['single-disk', 'mirrored'] as const) {
    test(`the layout ${layout} evaluates in each of its twelve forms`, async () => {
      const matrix = (await evaluateJson(evaluator, ask(`d.matrix "${layout}"`))) as Record<string, Summary>;
      assert.equal(Object.keys(matrix).length, 12);
      for (const [form, summary] of Object.entries(matrix)) {
        const [firmware, fileSystem, encryption] = form.split(' ');
        assert.match(summary.system, /\.drv$/, form);
        assert.match(summary.script, /\.drv$/, form);
        assert.ok(summary.mounts['/']?.startsWith(`${fileSystem} on `), form);
        assert.deepEqual(summary.luks, encryption === 'encrypted' ? ['root'] : [], form);
        const encrypted = encryption === 'encrypted';
        const onMirror = layout === 'mirrored';
        if (encrypted) assert.match(summary.mounts['/'] ?? '', /\/dev\/mapper\/root/, form);
        if (onMirror && !encrypted) assert.match(summary.mounts['/'] ?? '', /\/dev\/md\/root/, form);
        if (firmware === 'bios') {
          assert.deepEqual(summary.grubDevices, onMirror ? [first, second] : [first], form);
          assert.match(summary.mounts['/boot'] ?? '', /^ext4/, form);
        } else {
          assert.match(summary.mounts['/boot'] ?? '', /^vfat/, form);
          assert.equal(summary.systemdBoot, !onMirror, form);
          if (onMirror) assert.deepEqual(summary.mirroredBoots, ['/boot', '/boot-second'], form);
          if (onMirror) assert.match(summary.mounts['/boot-second'] ?? '', /^vfat/, form);
        }
      }
    });
  }

  const refused: readonly [string, string, string][] = [
    ['mirrored', '{ devices = [ "/dev/a" ]; firmware = "bios"; }', 'devices holds 1 disks, this layout takes 2'],
    ['mirrored', '{ devices = [ "/dev/a" "/dev/a" ]; firmware = "bios"; }', 'names /dev/a twice'],
    ['single-disk', '{ devices = [ "/dev/a" ]; firmware = "efi"; }', 'firmware is "efi"; it is "bios" or "uefi"'],
    [
      'single-disk',
      '{ devices = [ "/dev/a" ]; firmware = "bios"; fileSystem = "zfs"; }',
      'it is one of btrfs, ext4, xfs',
    ],
    ['single-disk', '{ devices = [ "/dev/a" ]; firmware = "bios"; raid = true; }', "unexpected argument 'raid'"],
  ];
  for (const [layout, args, text] of refused) {
    test(`${layout} refuses ${args}`, async () => {
      const question = ask(`(d.layout "${layout}" ${args} { inherit lib; }).disko.devices`);
      const error = await evaluationError(evaluator, question);
      assert.ok(error?.includes(text), `expected ${JSON.stringify(text)} in ${error}`);
    });
  }

  test('the machines of hosts.example.toml evaluate, plain and encrypted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-hosts-'));
    try {
      const example = readFileSync(join(repositoryRoot, 'initial-install/hosts.example.toml'), 'utf8');
      const encrypted = join(folder, 'hosts.toml');
      writeFileSync(encrypted, example.replaceAll('encrypted = false', 'encrypted = true'));
      const shown = (await evaluateJson(
        evaluator,
        ask(`let
            plain = d.fromFile (root + "/initial-install/hosts.example.toml") "berth-1";
            cloud = d.fromFile (root + "/initial-install/hosts.example.toml") "berth-2";
            locked = d.fromFile ${tree(encrypted)} "berth-1";
          in {
            systems = map (c: c.system.build.toplevel.drvPath) [ plain cloud locked ];
            static = plain.systemd.network.units."10-uplink.network".text;
            dhcp = cloud.systemd.network.units."10-uplink.network".text;
            link = plain.systemd.network.units."10-uplink.link".text;
            uplink = plain.berth.uplink;
            keys = plain.users.users.root.openssh.authorizedKeys.keys;
            sshd = plain.services.openssh.settings.PermitRootLogin;
            initrd = { inherit (locked.boot.initrd.network.ssh) port hostKeys authorizedKeys; };
            initrdNetwork = locked.boot.initrd.systemd.network.units."10-uplink.network".text;
            initrdShell = locked.boot.initrd.systemd.users.root.shell;
            plainInitrd = plain.boot.initrd.network.ssh.enable;
          }`),
      )) as Record<string, unknown>;
      for (const system of shown['systems'] as string[]) assert.match(system, /\.drv$/);
      assert.match(
        String(shown['static']),
        /Address=203\.0\.113\.10\/26\n.*\n\n\[Route\]\nGateway=203\.0\.113\.1\nGatewayOnLink=true/,
      );
      assert.match(String(shown['static']), /DHCP=no/);
      assert.match(String(shown['dhcp']), /DHCP=yes/);
      assert.equal(shown['link'], '[Match]\nPermanentMACAddress=90:1b:0e:00:00:01\n\n[Link]\nName=uplink0\n\n');
      assert.equal(shown['uplink'], 'uplink0');
      assert.equal(shown['sshd'], 'prohibit-password');
      assert.deepEqual(shown['initrd'], {
        port: 2222,
        hostKeys: ['/etc/secrets/initrd/ssh_host_ed25519_key'],
        authorizedKeys: shown['keys'],
      });
      assert.equal(shown['initrdNetwork'], shown['static'], 'the initrd has the host’s own address');
      assert.equal(shown['initrdShell'], '/bin/systemd-tty-ask-password-agent');
      assert.equal(shown['plainInitrd'], false);
    } finally {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  });

  test('the flake has a configuration for each machine of the file, and the program that installs it', async () => {
    const shown = (await evaluateJson(
      evaluator,
      ask(`{
        systems = lib.mapAttrs (_: c: c.config.system.build.toplevel.drvPath) d.flake.nixosConfigurations;
        program = d.flake.packages.x86_64-linux.nixos-anywhere.drvPath;
      }`),
    )) as { systems: Record<string, string>; program: string };
    assert.deepEqual(Object.keys(shown.systems), ['berth-1', 'berth-2']);
    for (const system of Object.values(shown.systems)) assert.match(system, /\.drv$/);
    assert.match(shown.program, /-nixos-anywhere-1\.\d+\.\d+\.drv$/);
  });

  test('a first boot that nobody could log in to is refused', async () => {
    const question = ask(
      `(d.firstBoot [ (d.layout "single-disk" { devices = [ "/dev/a" ]; firmware = "uefi"; }) ]).system.build.toplevel.drvPath`,
    );
    const error = await evaluationError(evaluator, question);
    assert.ok(error?.includes('berth.adminKeys is empty: nobody could log in'), error);
  });

  // The same files as in test/unit/initial-install/hosts-file.test.ts: whoever reads the file first, the mistake is found.
  const folder = join(repositoryRoot, 'test/fixtures/hosts-files');
  for (const name of readdirSync(folder)) {
    test(`Nix refuses ${name}`, async () => {
      const file = tree(join(folder, name));
      const question = ask(`builtins.deepSeq (d.hostsOf ${file}) true`);
      const error = await evaluationError(evaluator, question);
      assert.ok(error !== undefined, 'it evaluates');
      assert.match(error, /hosts\.berth[-_][12]/, 'names host and key');
    });
  }
}
