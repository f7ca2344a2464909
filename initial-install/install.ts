#!/usr/bin/env node
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { execa } from 'execa';
import { printDiscovery } from './discover.ts';
import { exitStatus, InstallFailure } from './failure.ts';
import { type HostEntry, readHostsFile } from './hosts-file.ts';
import { type Answers, factsFrom, type MachineFacts, questions } from './machine-facts.ts';
import {
  initrdKeyCommand,
  initrdKeyFile,
  installPhases,
  phaseCommand,
  type Workplace,
  workplaceIn,
} from './nixos-anywhere.ts';
import { fingerprintOf, PinnedSsh } from './pinned-ssh.ts';
import { type Check, checkDisks, preflight } from './preflight.ts';
import { nextSteps, printDryRun } from './printed-plan.ts';

/**
 * Puts NixOS on one machine that is in the rescue system:
 * check → confirm disk serials → kexec → disko → install → hand over.
 * Each phase can be the first of a later run (--from), so that a broken connection costs one phase.
 */

const phases = ['check', ...installPhases, 'hand-over'] as const;
type Phase = (typeof phases)[number];

interface Options {
  readonly hosts: string;
  readonly from: Phase;
  readonly skipInstall?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly identity?: string;
  readonly passphraseFile?: string;
}

/** A machine with much memory takes minutes to reboot: 60 tries, 5 s apart (acceptance 5.9). */
const handOverTries = 60;
const handOverPauseMs = 5_000;
/** A remote build of the first system on a slow line; after this it hangs. */
const phaseTimeoutMs = 2 * 3600 * 1000;

async function install(name: string, options: Options): Promise<void> {
  const host = hostNamed(name, options);
  const first: Phase = options.skipInstall ? 'hand-over' : options.from;
  const wanted = phases.slice(phases.indexOf(first));
  if (options.dryRun) return printDryRun(name, host, options);

  const place = prepareWorkplace(options);
  try {
    const ssh = await PinnedSsh.open({
      folder: dirname(place.source),
      address: host.address,
      fingerprint: host.hostKeyFingerprint,
      identity: options.identity && resolve(options.identity),
    });
    for (const phase of wanted) {
      step(phase);
      if (phase === 'check') await checkAndConfirm(name, host, ssh, options);
      else if (phase === 'hand-over') await handOver(name, host, ssh, options);
      else await runPhase(phase, name, host, { place, ssh });
    }
  } finally {
    // The workplace holds the initrd's private key.
    rmSync(dirname(place.source), { recursive: true, force: true });
  }
}

function hostNamed(name: string, options: Options): HostEntry {
  const hosts = readHostsFile(options.hosts);
  const host = Object.hasOwn(hosts, name) ? hosts[name] : undefined;
  if (!host)
    throw new InstallFailure(
      exitStatus.usage,
      `${options.hosts} has no [hosts.${name}]`,
      `It has: ${Object.keys(hosts).join(', ') || 'none'}.`,
    );
  if (host.disks.encrypted && !options.passphraseFile && !options.skipInstall) {
    throw new InstallFailure(
      exitStatus.usage,
      `hosts.${name}.disks.encrypted: the passphrase is missing`,
      'Name a file that holds it with --passphrase-file.',
    );
  }
  return host;
}

/** Copies what the flake needs; the user's file is named hosts.toml there, whatever it is called here. */
function prepareWorkplace(options: Options): Workplace {
  const folder = mkdtempSync(join(tmpdir(), 'berth-install-'));
  const place = workplaceIn(folder, options.passphraseFile);
  const repository = resolve(import.meta.dirname, '..');
  for (const part of ['server-config', 'initial-install']) {
    cpSync(join(repository, part), join(place.source, part), { recursive: true });
  }
  cpSync(options.hosts, join(place.source, 'initial-install', 'hosts.toml'));
  // tar keeps these modes on the installed system, so only the folder of the secrets may be closed.
  mkdirSync(join(place.extraFiles, 'etc'), { recursive: true, mode: 0o755 });
  mkdirSync(dirname(initrdKeyFile(place)), { recursive: true, mode: 0o700 });
  return place;
}

async function checkAndConfirm(name: string, host: HostEntry, ssh: PinnedSsh, options: Options): Promise<void> {
  const checks = preflight(host, await askFacts(ssh));
  for (const { mark, text } of checks) console.log(`${mark} ${text}`);
  const count = (mark: Check['mark']) => checks.filter((check) => check.mark === mark).length;
  console.log(`${count('✓')} ✓   ${count('⚠')} ⚠   ${count('✗')} ✗`);
  refuseIfBroken(
    `the machine at ${host.address} is not the one described as ${name}`,
    checks,
    `Correct ${options.hosts}; \`discover ${host.address}\` prints what the machine has.`,
  );
  console.log(`Everything on these disks will be ERASED: ${host.disks.devices.map(({ serial }) => serial).join(', ')}`);
  if (!options.yes) await mustTypeName(name);
}

/** @throws InstallFailure `refused`, with every ✗. */
function refuseIfBroken(what: string, checks: readonly Check[], hint: string): void {
  const broken = checks.filter(({ mark }) => mark === '✗').map(({ text }) => text);
  if (broken.length > 0) throw new InstallFailure(exitStatus.refused, `${what}:\n  ${broken.join('\n  ')}`, hint);
}

async function mustTypeName(name: string): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const closed = new Promise<string>((done) => terminal.once('close', () => done('')));
  const answer = await Promise.race([terminal.question(`Type ${name} to go on: `), closed]);
  terminal.close();
  if (answer.trim() !== name)
    throw new InstallFailure(
      exitStatus.refused,
      'not confirmed; nothing was written',
      'Type the host’s name, or say --yes.',
    );
}

async function askFacts(ssh: PinnedSsh): Promise<MachineFacts> {
  const answers: Partial<Answers> = {};
  for (const [key, question] of Object.entries(questions)) answers[key as keyof Answers] = await ssh.ask(question);
  return factsFrom(answers as Answers);
}

async function runPhase(
  phase: (typeof installPhases)[number],
  name: string,
  host: HostEntry,
  at: { place: Workplace; ssh: PinnedSsh },
): Promise<void> {
  // In the installer the disks may have other names, and hours may have passed since they were confirmed.
  if (phase === 'disko')
    refuseIfBroken(
      'the disks are not those confirmed',
      checkDisks(host, (await askFacts(at.ssh)).disks),
      'Nothing was written.',
    );
  if (phase === 'install' && host.disks.encrypted) {
    await run(initrdKeyCommand(at.place, name), at.ssh);
    const key = readFileSync(`${initrdKeyFile(at.place)}.pub`, 'utf8').split(' ')[1] ?? '';
    console.log(`At each boot: ssh -p 2222 root@${host.address}   (host key ${fingerprintOf(key)})`);
  }
  await run(
    phaseCommand(phase, name, host, at.place),
    at.ssh,
    `Put right what it says, then go on with --from ${phase}.`,
  );
}

async function run(argv: readonly [string, ...string[]], ssh: PinnedSsh, hint = ''): Promise<void> {
  const [program, ...args] = argv;
  const path = `${ssh.binFolder}:${process.env['PATH']}`;
  const { exitCode, timedOut } = await execa(program, args, {
    stdio: 'inherit',
    reject: false,
    env: { PATH: path },
    timeout: phaseTimeoutMs,
  });
  if (exitCode === 0) return;
  throw new InstallFailure(
    exitStatus.failed,
    `${program} ${timedOut ? 'did not end in two hours' : `ended with status ${exitCode ?? 'none'}`}`,
    hint,
  );
}

async function handOver(name: string, host: HostEntry, ssh: PinnedSsh, options: Options): Promise<void> {
  if (host.disks.encrypted) console.log(`Unlock the disk now: ssh -p 2222 root@${host.address}`);
  const version = await firstAnswer(ssh);
  const firmware = (await ssh.ask(questions.firmware)).trim();
  if (firmware !== host.firmware) {
    throw new InstallFailure(
      exitStatus.failed,
      `${name} runs NixOS but booted by ${firmware}, not ${host.firmware}`,
      'Change the boot mode in the firmware’s settings, or firmware in the file, and install again.',
    );
  }
  console.log(`✓ ${name} runs NixOS ${version}.\n`);
  console.log(nextSteps(name, host, options.hosts));
}

async function firstAnswer(ssh: PinnedSsh): Promise<string> {
  let last: unknown;
  for (let attempt = 1; attempt <= handOverTries; attempt += 1) {
    try {
      return (await ssh.ask('nixos-version')).trim();
    } catch (error) {
      last = error;
      if (attempt < handOverTries) await sleep(handOverPauseMs);
    }
  }
  throw new InstallFailure(
    exitStatus.failed,
    `the machine did not come back as NixOS: ${(last as Error).message}`,
    'Look at its console; go on with --skip-install once it answers.',
  );
}

function step(phase: Phase): void {
  console.log(`== ${phase} ==`);
}

const program = new Command('install-host')
  .description('Put NixOS on a machine that is in the rescue system.')
  .exitOverride();
program
  .command('install', { isDefault: true })
  .argument('<name>', 'the machine, as it is called in hosts.toml')
  .addOption(
    new Option('--hosts <file>', 'the file that describes the machines').default(
      join(import.meta.dirname, 'hosts.toml'),
      'initial-install/hosts.toml',
    ),
  )
  .addOption(new Option('--from <phase>', 'go on with this phase').choices([...phases]).default('check'))
  .option('--skip-install', 'the machine is installed: only hand it over')
  .option('--dry-run', 'contact nothing; print the rendered files and the exact commands')
  .option('--yes', 'erase the disks without asking; their serials must match all the same')
  .option('--identity <file>', 'the SSH key to log in with (default: as ssh itself chooses)')
  .option('--passphrase-file <file>', 'holds the passphrase of an encrypted disk')
  .exitOverride()
  .action(install);
program
  .command('discover')
  .argument('<address>', 'where the rescue system answers')
  .requiredOption('--fingerprint <SHA256:…>', 'fingerprint of its ED25519 host key, as Hetzner shows it')
  .option('--identity <file>', 'the SSH key to log in with')
  .description('print the entry of hosts.toml for a machine in the rescue system')
  .exitOverride()
  .action(async (address: string, options: { fingerprint: string; identity?: string }) => {
    await printDiscovery(address, options, askFacts);
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof InstallFailure) {
    console.error(`[ERROR] ${error.message}${error.hint ? `\n        ${error.hint}` : ''}`);
    process.exitCode = error.status;
  } else if (error instanceof Error && 'exitCode' in error) {
    process.exitCode = error.exitCode === 0 ? exitStatus.ok : exitStatus.usage;
  } else {
    throw error;
  }
}
