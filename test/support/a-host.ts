import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const hostctl = resolve(import.meta.dirname, '../../webhook/commands/hostctl/main.ts');

export interface HostctlResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The document that `--json` printed. */
  readonly json: Record<string, unknown>;
}

/**
 * A NixOS host as `hostctl` sees one, in a temporary folder: real files for profile, generations, checkout, log and
 * state; for the programs that Debian lacks (nixos-rebuild, nix-env, nix-store, nix) or that would touch this very
 * machine (systemctl, sshd, ss), stand-ins on PATH that record their arguments and answer as scripted.
 */
export class AHost implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'berth-a-host-'));
  readonly checkout = join(this.folder, 'etc-nixos');
  readonly state = join(this.folder, 'state');
  readonly log = join(this.folder, 'log', 'maintenance.log');
  readonly profile = join(this.folder, 'profiles', 'system');
  readonly currentSystem = join(this.folder, 'current-system');
  settings: Record<string, unknown>;

  constructor() {
    for (const name of ['bin', 'profiles', 'store', 'etc-nixos'])
      mkdirSync(join(this.folder, name), { recursive: true });
    this.settings = {
      checkout: this.checkout,
      flake: this.checkout,
      attribute: 'preview-host',
      systemProfile: this.profile,
      currentSystem: this.currentSystem,
      bootedSystem: join(this.folder, 'booted-system'),
      stateDirectory: this.state,
      maintenanceLog: this.log,
    };
    for (const name of ['nixos-rebuild', 'nix-env', 'nix-store', 'nix', 'systemctl', 'sshd', 'ss'])
      this.program(name, '');
  }

  /** Puts a stand-in on PATH; `script` is its sh body, run after its arguments were recorded. */
  program(name: string, script: string): void {
    const path = join(this.folder, 'bin', name);
    writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "$(basename "$0") $*" >> ${this.folder}/ran\n${script}\n`);
    chmodSync(path, 0o755);
  }

  /** Generations of the host, each made some days ago; the last is the current one and the one that runs. */
  generations(...daysAgo: number[]): void {
    daysAgo.forEach((days, index) => {
      const store = join(this.folder, 'store', `system-${index + 1}`);
      mkdirSync(join(store, 'bin'), { recursive: true });
      const link = `${this.profile}-${index + 1}-link`;
      symlinkSync(store, link);
      const made = Date.now() / 1000 - days * 86_400;
      spawnSync('touch', ['-h', '-d', `@${Math.round(made)}`, link]);
    });
    symlinkSync(`system-${daysAgo.length}-link`, this.profile);
    symlinkSync(join(this.folder, 'store', `system-${daysAgo.length}`), this.currentSystem);
    symlinkSync(join(this.folder, 'store', `system-${daysAgo.length}`), join(this.folder, 'booted-system'));
  }

  /** The sh text with which a stand-in activates another system. */
  activates(name: string): string {
    const store = join(this.folder, 'store', name);
    return `mkdir -p ${store} && ln -sfn ${store} ${this.currentSystem}`;
  }

  hostctl(...args: string[]): HostctlResult {
    return this.hostctlIn(tmpdir(), ...args);
  }

  /** The command as somebody in this directory runs it. */
  hostctlIn(cwd: string, ...args: string[]): HostctlResult {
    const settings = join(this.folder, 'hostctl.json');
    writeFileSync(settings, JSON.stringify(this.settings));
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [hostctl, '--settings', settings, '--json', ...args],
      {
        encoding: 'utf8',
        cwd,
        env: { ...process.env, PATH: `${join(this.folder, 'bin')}:${process.env['PATH']}`, NO_COLOR: '1' },
      },
    );
    return { status, stdout, stderr, json: stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>) };
  }

  /** Each program that ran, with its arguments, in order. */
  ran(): string[] {
    const path = join(this.folder, 'ran');
    return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
