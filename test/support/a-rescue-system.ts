import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fingerprintOf } from '../../initial-install/pinned-ssh.ts';

const installer = resolve(import.meta.dirname, '../../initial-install/install.ts');

/** Answers of a dedicated server in Hetzner's rescue system, in the shapes of util-linux 2.38 and iproute2 6.1. */
export const dedicated = {
  'uname -m': 'x86_64\n',
  'if test -d /sys/firmware/efi; then echo uefi; else echo bios; fi': 'bios\n',
  'lsblk --json --bytes --nodeps --output PATH,SERIAL,MODEL,SIZE,TYPE': JSON.stringify({
    blockdevices: [
      { path: '/dev/loop0', serial: null, model: null, size: 3254779904, type: 'loop' },
      {
        path: '/dev/nvme0n1',
        serial: 'S675NX0T000001',
        model: 'SAMSUNG MZVL2512HCJQ-00B00',
        size: 512110190592,
        type: 'disk',
      },
      {
        path: '/dev/nvme1n1',
        serial: 'S675NX0T000002',
        model: 'SAMSUNG MZVL2512HCJQ-00B00',
        size: 512110190592,
        type: 'disk',
      },
    ],
  }),
  "find /dev/disk/by-id -type l -printf '%p %l\\n'": [
    '/dev/disk/by-id/nvme-eui.002538b111111111 ../../nvme0n1',
    '/dev/disk/by-id/nvme-SAMSUNG_MZVL2512HCJQ-00B00_S675NX0T000001 ../../nvme0n1',
    '/dev/disk/by-id/nvme-SAMSUNG_MZVL2512HCJQ-00B00_S675NX0T000001_1 ../../nvme0n1',
    '/dev/disk/by-id/nvme-SAMSUNG_MZVL2512HCJQ-00B00_S675NX0T000002 ../../nvme1n1',
    '/dev/disk/by-id/nvme-SAMSUNG_MZVL2512HCJQ-00B00_S675NX0T000002-part1 ../../nvme1n1p1',
    '',
  ].join('\n'),
  'cat /proc/meminfo': 'MemTotal:       65792000 kB\nMemFree:        64000000 kB\n',
  'ip -json address show': JSON.stringify([
    { ifname: 'lo', address: '00:00:00:00:00:00', addr_info: [{ local: '127.0.0.1', prefixlen: 8, scope: 'host' }] },
    {
      ifname: 'eth0',
      address: '90:1b:0e:00:00:01',
      addr_info: [
        { local: '203.0.113.10', prefixlen: 26, scope: 'global' },
        { local: '2001:db8:1::2', prefixlen: 64, scope: 'global' },
        { local: 'fe80::921b:eff:fe00:1', prefixlen: 64, scope: 'link' },
      ],
    },
  ]),
  'ip -json -4 route show default': JSON.stringify([
    { dst: 'default', gateway: '203.0.113.1', dev: 'eth0', flags: [] },
  ]),
  'ip -json -6 route show default': JSON.stringify([{ dst: 'default', gateway: 'fe80::1', dev: 'eth0', metric: 1024 }]),
  'nixos-version': '26.05.20260701.abcdef0 (Yarara)\n',
};

/**
 * The installer and the machine that it installs: stand-ins for ssh, ssh-keyscan and nix on PATH, the machine's answers in
 * files. Real are the host key, its fingerprint, hosts.toml and everything that the installer itself does.
 */
export class ARescueSystem implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'berth-a-rescue-'));
  readonly fingerprint: string;
  readonly hostsFile = join(this.folder, 'hosts.toml');

  constructor(answers: Record<string, string> = dedicated) {
    for (const name of ['bin', 'answers']) mkdirSync(join(this.folder, name));
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.folder, 'host-key')]);
    const key = readFileSync(join(this.folder, 'host-key.pub'), 'utf8').split(' ')[1] ?? '';
    this.fingerprint = fingerprintOf(key);
    this.answers(answers);
    this.program('ssh-keyscan', `for a; do :; done; echo "$a ssh-ed25519 ${key}"`);
    // The question is the last word; its answer lies in a file named by its checksum.
    this.program('ssh', `for a; do :; done; cat ${this.folder}/answers/$(printf %s "$a" | sha256sum | cut -d' ' -f1)`);
    this.program('nix', '');
    this.describe();
  }

  answers(answers: Record<string, string>): void {
    for (const [question, answer] of Object.entries(answers)) {
      const sum = execFileSync('sha256sum', { input: question, encoding: 'utf8' }).split(' ')[0] ?? '';
      writeFileSync(join(this.folder, 'answers', sum), answer);
    }
  }

  /** Writes hosts.toml: the example with this machine's fingerprint, changed by `edit`. */
  describe(edit: (text: string) => string = (text) => text): void {
    const example = readFileSync(join(import.meta.dirname, '../../initial-install/hosts.example.toml'), 'utf8');
    writeFileSync(this.hostsFile, edit(example.replaceAll(/"SHA256:.*"/g, JSON.stringify(this.fingerprint))));
  }

  program(name: string, script: string): void {
    const path = join(this.folder, 'bin', name);
    writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "${name} $*" >> ${this.folder}/ran\n${script}\n`);
    chmodSync(path, 0o755);
  }

  install(args: string[], input = '') {
    return spawnSync(process.execPath, [installer, ...args, '--hosts', this.hostsFile], this.#options(input));
  }

  discover(args: string[]) {
    return spawnSync(process.execPath, [installer, 'discover', ...args], this.#options(''));
  }

  #options(input: string) {
    return {
      input,
      encoding: 'utf8' as const,
      env: { ...process.env, PATH: `${join(this.folder, 'bin')}:${process.env['PATH']}`, TMPDIR: this.folder },
    };
  }

  /** The phases that nix was asked to run, in order. */
  phases(): string[] {
    return this.ran()
      .map((line) => /^nix .* --phases (\S+)/.exec(line)?.[1])
      .filter((phase) => phase !== undefined);
  }

  ran(): string[] {
    const path = join(this.folder, 'ran');
    return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A real sshd on loopback with a key of its own; undefined where there is none. It lets nobody in. */
export async function aRealSshd(
  folder: string,
  port: number,
): Promise<{ fingerprint: string; stop: () => Promise<void> } | undefined> {
  if (!existsSync('/usr/sbin/sshd')) return undefined;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // sshd wants it when root starts it; a system that runs sshd has it already.
  const madeHere = process.getuid?.() === 0 && mkdirSync('/run/sshd', { recursive: true, mode: 0o755 }) !== undefined;
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')]);
  const key = readFileSync(join(folder, 'key.pub'), 'utf8').split(' ')[1] ?? '';
  const options = [
    'ListenAddress=127.0.0.1',
    `HostKey=${join(folder, 'key')}`,
    'UsePAM=no',
    'PidFile=none',
    'StrictModes=no',
  ];
  const config = join(folder, 'sshd_config');
  writeFileSync(config, '');
  const server = spawn(
    '/usr/sbin/sshd',
    ['-D', '-e', '-f', config, '-p', String(port), ...options.flatMap((option) => ['-o', option])],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const listening = new Promise<void>((done, fail) => {
    let said = '';
    server.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('Server listening')) done();
    });
    server.once('exit', () => fail(new Error(`sshd: ${said}`)));
  });
  await listening;
  const ended = new Promise<void>((done) => server.once('exit', () => done()));
  return {
    fingerprint: fingerprintOf(key),
    stop: async () => {
      server.kill();
      await ended;
      if (madeHere) rmSync('/run/sshd', { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
