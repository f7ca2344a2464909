import { createHash } from 'node:crypto';
import { accessSync, chmodSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { exitStatus, InstallFailure } from './failure.ts';

/** One question to a rescue system is answered in well under a second; this is a machine that hangs. */
const askTimeoutMs = 15_000;

/**
 * SSH to exactly one machine: the one whose host key has the pinned fingerprint.
 *
 * nixos-anywhere switches host-key checking off by options of its own, and of two equal options ssh takes the first. So
 * a folder with an `ssh` of ours comes first on its PATH: a wrapper that says our options before all others. The key stays
 * the same from the rescue system through the installer (kexec carries it over) into the installed system (--copy-host-keys).
 */
export class PinnedSsh {
  /** Comes first on the PATH of everything that speaks ssh. */
  readonly binFolder: string;
  readonly #address: string;
  readonly #port: number;

  private constructor(binFolder: string, address: string, port: number) {
    this.binFolder = binFolder;
    this.#address = address;
    this.#port = port;
  }

  /**
   * Asks the address for its ED25519 key, compares it with the fingerprint, and writes the wrapper into `folder`.
   * @throws InstallFailure `refused` when another key answers, `failed` when nobody does.
   */
  static async open(options: {
    folder: string;
    address: string;
    fingerprint: string;
    identity?: string | undefined;
    port?: number;
  }): Promise<PinnedSsh> {
    const { folder, address, fingerprint, port = 22 } = options;
    const scan = await execa('ssh-keyscan', ['-T', '10', '-p', String(port), '-t', 'ed25519', address], {
      reject: false,
      timeout: askTimeoutMs,
    });
    const line = (scan.stdout ?? '').split('\n').find((each) => /^\S+ ssh-ed25519 \S+$/.test(each));
    if (!line) {
      throw new InstallFailure(
        exitStatus.failed,
        `no SSH server with an ED25519 key answers at ${address}, port ${port}`,
        'Is the rescue system on, and did the machine boot into it?',
      );
    }
    const key = line.split(' ')[2] ?? '';
    const found = fingerprintOf(key);
    if (found !== fingerprint) {
      throw new InstallFailure(
        exitStatus.refused,
        `${address} shows the host key ${found}, not ${fingerprint}`,
        'Someone is between you and the machine, or the rescue system was activated anew: compare with what Hetzner shows, then correct hostKeyFingerprint.',
      );
    }
    const name = port === 22 ? address : `[${address}]:${port}`;
    writeWrapper(folder, `${name} ssh-ed25519 ${key}\n`, options.identity);
    return new PinnedSsh(join(folder, 'bin'), address, port);
  }

  /** Runs one constant remote command and returns what it printed. @throws InstallFailure `failed`. */
  async ask(command: string): Promise<string> {
    const args = [
      '-p',
      String(this.#port),
      '-o',
      'BatchMode=yes',
      '-o',
      'ConnectTimeout=10',
      `root@${this.#address}`,
      command,
    ];
    const result = await execa(join(this.binFolder, 'ssh'), args, {
      reject: false,
      timeout: askTimeoutMs,
      stdin: 'ignore',
    });
    if (result.exitCode === 0) return result.stdout;
    const why = result.timedOut ? 'no answer in 15 s' : result.stderr.trim().split('\n').at(-1);
    throw new InstallFailure(
      exitStatus.failed,
      `\`${command}\` on ${this.#address}: ${why}`,
      'Can you log in there as root with your key?',
    );
  }
}

/** `SHA256:…` as ssh-keygen -l and Hetzner's Robot show it: the hash of the key's blob, base64 without padding. */
export function fingerprintOf(base64Key: string): string {
  const hash = createHash('sha256').update(Buffer.from(base64Key, 'base64')).digest('base64');
  return `SHA256:${hash.replace(/=+$/, '')}`;
}

function writeWrapper(folder: string, knownHosts: string, identity: string | undefined): void {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true, mode: 0o700 });
  const knownHostsFile = join(folder, 'known_hosts');
  writeFileSync(knownHostsFile, knownHosts, { mode: 0o600 });
  writeFileSync(join(bin, 'ssh'), wrapperText({ ssh: realSsh(), knownHostsFile, identity }));
  chmodSync(join(bin, 'ssh'), 0o700);
}

/** The wrapper's text. Shell, because ssh-copy-id and nix start it by its name; all its words are paths of ours. */
export function wrapperText({
  ssh,
  knownHostsFile,
  identity,
}: {
  ssh: string;
  knownHostsFile: string;
  identity?: string | undefined;
}): string {
  const options = [
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${knownHostsFile}`,
    'GlobalKnownHostsFile=/dev/null',
    'HostKeyAlgorithms=ssh-ed25519',
    'UpdateHostKeys=no',
    'ControlPath=none',
  ];
  const words = [ssh, ...options.flatMap((option) => ['-o', option]), ...(identity ? ['-i', identity] : [])];
  return `#!/bin/sh\nexec ${words.map(shellQuoted).join(' ')} "$@"\n`;
}

/** A word as a shell reads it back, whatever is in it. */
export function shellQuoted(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The ssh that PATH leads to, so that the wrapper does not find itself. */
function realSsh(): string {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'ssh');
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder: look in the next.
    }
  }
  throw new InstallFailure(exitStatus.failed, 'ssh is not on PATH', 'Install OpenSSH’s client.');
}
