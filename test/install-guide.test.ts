/**
 * docs/guides/install-on-hetzner.md, word by word: each command of it is run as far as a test can run it, against the real installer, the
 * real hostctl and the real files. A line of a kind that is not known here fails, so that no command gets in unchecked.
 */
import { strict as assert } from 'node:assert';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { COMMANDS } from '../webhook/commands/preview/command-table.ts';
import { AHost } from './support/a-host.ts';
import { ARescueSystem } from './support/a-rescue-system.ts';

const root = resolve(import.meta.dirname, '..');
const guide = readFileSync(join(root, 'docs/guides/install-on-hetzner.md'), 'utf8');
const blocks = (language: string) =>
  [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1] ?? '');
const commands = blocks('sh').flatMap((block) => block.trim().split('\n'));
const hostFile = blocks('nix')[0] ?? '';
const address = '203.0.113.10';

/** Every kind of line that the guide may hold: what it looks like, and how it is checked. */
const kinds: readonly [RegExp, (match: RegExpExecArray) => void][] = [
  [/^npm ci$/, () => assert.ok(existsSync(join(root, 'package-lock.json')))],
  [/^npm run (?:--silent )?install-host -- (.*)$/, ([, words = '']) => installs(words)],
  [
    /^nix --extra-experimental-features 'nix-command flakes' flake lock (\S+)$/,
    ([, folder = '']) => assert.ok(existsSync(join(root, folder, 'flake.nix'))),
  ],
  [/^ssh -p 2222 root@(\S+)$/, ([, to]) => unlocks(to)],
  [/^git add (.*)$/, ([, paths = '']) => paths.split(' ').forEach(existsOrIsMade)],
  [/^git (commit -m "[^"]+"|push)$/, () => {}],
  [
    /^openssl rand -hex 32 > (\S+)$/,
    ([, file = '']) => assert.match(guide, new RegExp(`/var/secrets/\\S*${file} < ${file}`)),
  ],
  [
    new RegExp(`^ssh root@${address} install -D -m 0400 /dev/stdin (/var/secrets/\\S+) < \\S+$`),
    ([, path = '']) => isWanted(path),
  ],
  [new RegExp(`^ssh root@${address} "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519"$`), () => {}],
  [new RegExp(`^ssh root@${address} cat /root/.ssh/id_ed25519.pub$`), () => {}],
  [new RegExp(`^ssh root@${address} git clone \\S+ (\\S+)$`), ([, to]) => assert.equal(to, hostctlDefaults().checkout)],
  [
    new RegExp(`^ssh root@${address} nixos-rebuild switch --flake (\\S+)#(\\S+)$`),
    ([, flake, name]) => switches(flake, name),
  ],
  [new RegExp(`^ssh root@${address} hostctl (.*)$`), ([, words = '']) => runsHostctl(words.split(' '))],
  [
    new RegExp(`^ssh root@${address} preview (.*)$`),
    ([, words = '']) => assert.ok(previewVerbs().includes(words.split(' ')[0] ?? ''), words),
  ],
  [
    /^curl https:\/\/hooks\.example\.com(\/\S+)$/,
    ([, path = '']) => assert.ok(caddyfile().includes(`path ${path}`), path),
  ],
];

test('each command of the guide is of a known kind and does what the guide says', async (t) => {
  assert.ok(commands.length >= 20, `${commands.length} commands were found`);
  for (const command of commands) {
    await t.test(command, () => {
      const found = kinds
        .map(([pattern, check]) => ({ match: pattern.exec(command), check }))
        .filter(({ match }) => match !== null);
      assert.equal(found.length, 1, `the line fits ${found.length} kinds`);
      for (const { match, check } of found) if (match) check(match);
    });
  }
});

test('files, folders and pages that the guide names are there', () => {
  const named = [...guide.matchAll(/`((?:initial-install|server-config|docs)\/[A-Za-z0-9/._-]+)`/g)].map(
    (match) => match[1] ?? '',
  );
  assert.ok(named.length >= 5);
  named.forEach(existsOrIsMade);
  const links = [...guide.matchAll(/\]\(([^)#]+)\)/g)].map((match) => join(root, 'docs/guides', match[1] ?? ''));
  for (const link of links) assert.ok(existsSync(link), link);
});

test('the host’s file is under forty lines and takes its machine from hosts.toml', () => {
  assert.ok(hostFile.split('\n').length < 40);
  assert.match(hostFile, /host-from-file\.nix \{ name = "berth-1"; \}/);
});

/** Runs the installer for real, against a machine that is the example's. */
function installs(words: string): void {
  using machine = new ARescueSystem();
  const [line = '', target] = words.split(' > ');
  const args = line.split(' ');
  if (args[0] === 'discover') {
    const run = machine.discover(
      args.slice(1).map((word) => (word.startsWith('SHA256:') ? machine.fingerprint : word)),
    );
    assert.equal(run.status, 0, run.stderr);
    assert.equal(target, 'initial-install/hosts.toml');
    writeFileSync(
      machine.hostsFile,
      run.stdout.replaceAll('name-it', 'berth-1').replace('<your public key>', 'AAAAC3Nz you@laptop'),
    );
    assert.equal(machine.install(['berth-1', '--dry-run']).status, 0, 'what it printed is accepted');
    return;
  }
  const run = machine.install(args, 'berth-1\n');
  assert.equal(run.status, 0, run.stderr);
  if (!args.includes('--dry-run')) assert.match(run.stdout, /✓ berth-1 runs NixOS/);
}

function unlocks(to: string | undefined): void {
  assert.equal(to, address);
  assert.match(readFileSync(join(root, 'initial-install/initrd-unlock.nix'), 'utf8'), /port = 2222;/);
}

function runsHostctl(words: string[]): void {
  using host = new AHost();
  host.generations(2, 1);
  host.settings = {
    ...host.settings,
    backup: { unit: 'u', command: 'c', successMetric: '/nonexistent', staleAfterHours: 1 },
  };
  host.program('git', '');
  const run = host.hostctl('--dry-run', ...words);
  // Status 1 is `status` of a host whose baseline is broken, as this one's is; 2 would be wrong usage.
  assert.ok(run.status === 0 || words[0] === 'status', `${words.join(' ')}: ${run.stderr}`);
  assert.notEqual(run.status, 2, run.stderr);
}

function switches(flake: string | undefined, name: string | undefined): void {
  assert.equal(flake, hostctlDefaults().flake);
  assert.ok(existsSync(join(root, 'server-config/flake.nix')));
  assert.ok(guide.includes(`\`${name} = ./${name}.nix;\``), 'the name is the one that was given to the host’s file');
}

/** A secret that is sent to the host is one that its file, or a page that the guide names, asks for. */
function isWanted(path: string): void {
  assert.ok(hostFile.includes(`"${path}"`), `${path} is not in the host's file`);
}

function existsOrIsMade(path: string): void {
  const madeInTheGuide = ['initial-install/hosts.toml', 'server-config/hosts/berth-1.nix'];
  assert.ok(existsSync(join(root, path)) || madeInTheGuide.includes(path), path);
}

function hostctlDefaults(): { checkout: string; flake: string } {
  return JSON.parse(readFileSync(join(root, 'test/fixtures/rendered/hostctl/hostctl.json'), 'utf8')) as {
    checkout: string;
    flake: string;
  };
}

function caddyfile(): string {
  return readFileSync(join(root, 'test/fixtures/rendered/caddy/acme.Caddyfile'), 'utf8');
}

function previewVerbs(): string[] {
  return COMMANDS.map(({ name }) => name);
}
