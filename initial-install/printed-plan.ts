import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { HostEntry } from './hosts-file.ts';
import { initrdKeyCommand, installPhases, phaseCommand, workplaceIn } from './nixos-anywhere.ts';
import { shellQuoted, wrapperText } from './pinned-ssh.ts';

/** What to do once the machine runs NixOS; the guide has the same commands. */
export function nextSteps(name: string, host: HostEntry, hostsFile: string): string {
  return [
    'Next, as docs/guides/install-on-hetzner.md describes:',
    `  1. commit ${hostsFile} and your host's file in server-config/hosts, and push`,
    `  2. ssh root@${host.address} git clone <your repository> /etc/nixos`,
    `  3. ssh root@${host.address} nixos-rebuild switch --flake /etc/nixos/server-config#${name}`,
    `  4. ssh root@${host.address} hostctl status`,
  ].join('\n');
}

/** Contacts nothing: prints the files that would be made, whole, and each command as it would run. */
export function printDryRun(
  name: string,
  host: HostEntry,
  options: { hosts: string; identity?: string; passphraseFile?: string },
): void {
  const folder = join(tmpdir(), 'berth-install-dry-run');
  const place = workplaceIn(folder, options.passphraseFile);
  const identity = options.identity && resolve(options.identity);
  console.log(`# ${place.source}/initial-install/hosts.toml\n${readFileSync(options.hosts, 'utf8')}`);
  console.log(
    `# ${folder}/known_hosts: the ED25519 key of ${host.address}, if its fingerprint is ${host.hostKeyFingerprint}`,
  );
  console.log(`# ${folder}/bin/ssh\n${wrapperText({ ssh: 'ssh', knownHostsFile: `${folder}/known_hosts`, identity })}`);
  if (host.disks.encrypted) console.log(typed(initrdKeyCommand(place, name)));
  for (const phase of installPhases) console.log(typed(phaseCommand(phase, name, host, place)));
  console.log(nextSteps(name, host, options.hosts));
}

/** A command as one would type it. */
function typed(argv: readonly string[]): string {
  return argv.map(shellQuoted).join(' ');
}
