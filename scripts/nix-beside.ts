import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * Unpacks a current Nix beside a Debian system, installing nothing into it: `npm run nix-beside [folder]`.
 * Debian bookworm's Nix (2.8) is too old for a current nixpkgs; trixie's is downloaded with its libraries by apt-get,
 * from a package list of its own and the host that the machine's own list names, and wrapped with trixie's loader.
 * Prints the line to export. A second run uses what is there.
 */
const release = 'trixie';
const folder = resolve(process.argv[2] ?? 'node_modules/.cache/nix-beside');
const wrapper = join(folder, 'nix-instantiate');

if (!existsSync(wrapper)) {
  writePackageList();
  apt('update', '--quiet=2');
  download(packagesOf('nix-bin'));
  writeWrapper();
}
const version = spawnSync(wrapper, ['--version'], { encoding: 'utf8' });
if (version.status !== 0) fail(`${wrapper} does not run: ${version.stderr}`);
console.log(`# ${version.stdout.trim()}\nexport NIX_INSTANTIATE=${wrapper}`);

/** apt's own files below `folder`, and trixie as the only source. */
function writePackageList(): void {
  for (const part of ['lists/partial', 'archives/partial', 'packages', 'root'])
    mkdirSync(join(folder, part), { recursive: true });
  const { uri, keyring } = debianSource();
  writeFileSync(join(folder, 'sources.list'), `deb [signed-by=${keyring}] ${uri} ${release} main\n`);
  writeFileSync(join(folder, 'status'), '');
  const settings = {
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': join(folder, 'status'),
    'Dir::Cache': folder,
    'APT::Sandbox::User': 'root',
  };
  const text = Object.entries(settings).map(([key, value]) => `${key} "${value}";\n`);
  writeFileSync(join(folder, 'apt.conf'), text.join(''));
}

/** Where this machine takes Debian's packages from, and the key that signs them. */
function debianSource(): { uri: string; keyring: string } {
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const parts = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : []),
  ];
  const lines = files.filter((file) => existsSync(file)).flatMap((file) => readFileSync(file, 'utf8').split('\n'));
  for (const line of lines) {
    const uri = /^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(\S*debian)\/?(?:\s|$)/.exec(line)?.[1];
    if (uri !== undefined) return { uri, keyring };
  }
  return fail('no Debian package source was found in /etc/apt: put nix-instantiate (2.18 or later) on PATH yourself');
}

/** The package and what it needs, as apt-get would install it on an empty system; programs that only installing needs are left out. */
function packagesOf(name: string): string[] {
  const planned = apt('install', '--simulate', '--no-install-recommends', name);
  const names = [...planned.matchAll(/^Inst (\S+)/gm)].map((found) => String(found[1]));
  return names.filter((each) => each === name || /^(lib(?!.*-perl$)|zlib|gcc-\d+-base)/.test(each));
}

function download(names: string[]): void {
  const packages = join(folder, 'packages');
  apt('download', ...names);
  for (const file of readdirSync(packages).filter((each) => each.endsWith('.deb'))) {
    const unpacked = spawnSync('dpkg', ['-x', join(packages, file), join(folder, 'root')], { encoding: 'utf8' });
    if (unpacked.status !== 0) fail(unpacked.stderr);
  }
}

/** Runs the unpacked program with the unpacked libraries and their own loader: it needs none of the system's. */
function writeWrapper(): void {
  const architecture =
    { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string] ?? fail(`no Nix for ${process.arch}`);
  const libraries = join(folder, 'root/usr/lib', `${architecture}-linux-gnu`);
  const loader =
    readdirSync(libraries).find((name) => name.startsWith('ld-linux')) ?? fail(`no loader in ${libraries}`);
  const program = join(folder, 'root/usr/bin/nix-instantiate');
  writeFileSync(
    wrapper,
    `#!/bin/sh\nexec '${join(libraries, loader)}' --library-path '${libraries}' --argv0 nix-instantiate '${program}' "$@"\n`,
  );
  chmodSync(wrapper, 0o755);
}

function apt(...words: string[]): string {
  const ran = spawnSync('apt-get', words, {
    cwd: join(folder, 'packages'),
    env: { ...process.env, APT_CONFIG: join(folder, 'apt.conf'), LC_ALL: 'C.UTF-8' },
    encoding: 'utf8',
    maxBuffer: 16 * 1024 * 1024,
  });
  if (ran.status !== 0) fail(`apt-get ${words[0]}: ${ran.stderr || (ran.error?.message ?? '')}`);
  return ran.stdout;
}

function fail(why: string): never {
  console.error(`nix-beside: ${why}`);
  process.exit(1);
}
