/**
 * Builds the files of a test host in a directory of its own. The host borrows the machine's /usr (read-only) and /etc (below
 * an overlay), so there is no image to make: what is written here is what differs from a plain Debian machine.
 */
import {
  chmod,
  chown,
  copyFile,
  cp,
  link,
  mkdir,
  readFile,
  readlink,
  symlink,
  writeFile,
  readdir,
} from 'node:fs/promises';
import { lstatSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { postgresPrograms } from './requirements.ts';

const here = import.meta.dirname;

/** Where the parts of a test host lie in its state directory. */
export function layoutOf(stateDirectory: string) {
  return {
    root: join(stateDirectory, 'root'),
    /** Upper layer of the host's /etc. */
    etc: join(stateDirectory, 'etc'),
    /** The host's /etc/systemd, bound over the machine's so that none of the machine's units start. */
    systemd: join(stateDirectory, 'systemd'),
    /** Laid over the machine's /usr. */
    usr: join(stateDirectory, 'usr'),
    console: join(stateDirectory, 'console.log'),
  };
}
export type HostLayout = ReturnType<typeof layoutOf>;

/** Units of Debian's systemd package that have no business in a container, or cost time at boot. */
const maskedUnits = [
  'dev-hugepages.mount',
  'dev-mqueue.mount',
  'getty.target',
  'initrd-cleanup.service',
  'kmod-static-nodes.service',
  'modprobe@.service',
  'network-online.target',
  'proc-sys-fs-binfmt_misc.automount',
  'sys-fs-fuse-connections.mount',
  'sys-kernel-config.mount',
  'sys-kernel-debug.mount',
  'sys-kernel-tracing.mount',
  'systemd-binfmt.service',
  'systemd-firstboot.service',
  'systemd-hwdb-update.service',
  'systemd-journald-audit.socket',
  'systemd-machine-id-commit.service',
  'systemd-modules-load.service',
  'systemd-networkd.service',
  'systemd-networkd.socket',
  'systemd-pcrphase-sysinit.service',
  'systemd-pcrphase.service',
  'systemd-random-seed.service',
  'systemd-repart.service',
  'systemd-resolved.service',
  'systemd-sysctl.service',
  'systemd-sysusers.service',
  'systemd-timesyncd.service',
  'systemd-tmpfiles-setup-dev.service',
  'systemd-udev-trigger.service',
  'systemd-udevd-control.socket',
  'systemd-udevd-kernel.socket',
  'systemd-udevd.service',
  'systemd-update-utmp.service',
];

/** What tenants.nix writes before the rules: the same values as NixOS's defaults, and the link to the machine as the way out. */
const ruleValues = [
  'define uplink = "host0"',
  'define resolver = 10.100.0.1',
  'define internet_ports = { 80, 443 }',
  'define denied = { 255.255.255.255 }',
  'define routed_from = { "lo" }',
].join('\n');

/** Accounts that a NixOS host with Berth has and Debian has not. */
const accounts = [
  { name: 'berth', uid: 970, home: '/var/lib/berth' },
  { name: 'berth-web', uid: 972, home: '/var/empty' },
  { name: 'berth-eval', uid: 971, home: '/var/empty' },
];

/**
 * Nodes of loop devices, which udev makes on a real host. The machine numbers them for all test hosts together, so each has a node for more than
 * it will use.
 */
const loopNodes = [
  'c /dev/loop-control 0660 root disk - 10:237',
  ...Array.from({ length: 512 }, (_, number) => `b /dev/loop${number} 0660 root disk - 7:${number}`),
].join('\n');

async function writeAccounts(layout: HostLayout): Promise<void> {
  const passwd = accounts.map((a) => `${a.name}:x:${a.uid}:${a.uid}::${a.home}:/usr/sbin/nologin\n`).join('');
  const group = accounts.map((a) => `${a.name}:x:${a.uid}:\n`).join('');
  await writeFile(join(layout.etc, 'passwd'), (await readFile('/etc/passwd', 'utf8')) + passwd);
  await writeFile(join(layout.etc, 'group'), (await readFile('/etc/group', 'utf8')) + group);
  await mkdir(join(layout.root, 'var/lib/berth'), { recursive: true });
  await chown(join(layout.root, 'var/lib/berth'), 970, 970);
}

/** The machine's links at / (bin → usr/bin and so on); Debian has had no real directories there since version 12. */
async function linkTopLevel(root: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib', 'lib64', 'lib32', 'libx32']) {
    const stat = lstatSync(`/${name}`, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) await symlink(await readlink(`/${name}`), join(root, name));
  }
}

async function makeDatabase(layout: HostLayout): Promise<void> {
  const programs = postgresPrograms() ?? '';
  const home = join(layout.root, 'var/lib/postgresql');
  await mkdir(home, { recursive: true });
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => Number((await execa('id', [flag, 'postgres'])).stdout)),
  );
  await chown(home, uid ?? 0, gid ?? 0);
  const data = join(home, 'data');
  const initdb = [join(programs, 'initdb'), '--no-sync', '--auth=peer', '--encoding=UTF8', '--locale=C.UTF-8'];
  await execa('runuser', ['-u', 'postgres', '--', ...initdb, `--pgdata=${data}`]);
  for (const name of ['postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf']) {
    await cp(join(here, 'postgresql', name), join(data, name));
  }
}

/** Writes every file of the host. About 0.6 s, most of it initdb. */
export async function buildState(stateDirectory: string, network: { host: string; machine: string }): Promise<void> {
  const layout = layoutOf(stateDirectory);
  // The postgres user must reach its data below; nobody else may list the directory.
  await chmod(stateDirectory, 0o711);
  for (const name of ['usr', 'etc', 'dev', 'proc', 'sys', 'run', 'tmp', 'mnt', 'opt', 'srv', 'home']) {
    await mkdir(join(layout.root, name), { recursive: true });
  }
  await mkdir(join(layout.root, 'root'), { mode: 0o700 });
  // nspawn looks for it before it mounts the machine's /usr there.
  await mkdir(join(layout.root, 'usr/lib'));
  await cp('/usr/lib/os-release', join(layout.root, 'usr/lib/os-release'));
  for (const name of ['lib/machines', 'log/journal', 'tmp', 'empty', 'cache', 'spool']) {
    await mkdir(join(layout.root, 'var', name), { recursive: true });
  }
  await mkdir(join(layout.root, 'nix/store'), { recursive: true });
  await mkdir(join(layout.root, 'nix/var/nix/daemon-socket'), { recursive: true });
  const database = makeDatabase(layout);

  await linkTopLevel(layout.root);
  await cp(join(here, 'image/usr'), layout.usr, { recursive: true });
  await mkdir(join(layout.usr, 'local/bin'), { recursive: true });
  await cp(join(here, 'nixos-container'), join(layout.usr, 'local/bin/nixos-container'));
  // Another Caddy than the machine's, to learn whether our routes mean the same to it.
  const caddy = process.env['BERTH_CADDY'];
  if (caddy !== undefined) {
    await mkdir(join(layout.usr, 'bin'), { recursive: true });
    await cp(caddy, join(layout.usr, 'bin/caddy'));
  }
  // A real file, not a link to the project: guests see the host's /usr and nothing else of the machine.
  const node = join(layout.usr, 'local/bin/node');
  await link(process.execPath, node).catch(() => copyFile(process.execPath, node));
  for (const name of await readdir(join(here, 'image/etc'))) {
    const target = name === 'systemd' ? layout.systemd : join(layout.etc, name);
    await cp(join(here, 'image/etc', name), target, { recursive: true });
  }
  // The operator writes routes, Caddy reads them (server-config/modules/ingress).
  await mkdir(join(layout.etc, 'caddy/previews'), { recursive: true });
  await chown(join(layout.etc, 'caddy/previews'), 970, Number((await execa('id', ['-g', 'caddy'])).stdout));
  await chmod(join(layout.etc, 'caddy/previews'), 0o2750);
  await Promise.all(
    maskedUnits.map((unit) => symlink('/dev/null', join(layout.systemd, 'system', unit)).catch(ignoreExisting)),
  );
  await symlink('host.target', join(layout.systemd, 'system/default.target'));
  await mkdir(join(layout.systemd, 'system-generators'), { recursive: true });
  await symlink('/dev/null', join(layout.systemd, 'system-generators/postgresql-generator'));
  await writeAccounts(layout);
  await mkdir(join(layout.etc, 'tmpfiles.d'), { recursive: true });
  await writeFile(join(layout.etc, 'tmpfiles.d/loop-devices.conf'), `${loopNodes}\n`);
  await writeFile(join(layout.etc, 'machine-id'), `${crypto.randomUUID().replaceAll('-', '')}\n`);
  await writeFile(join(layout.etc, 'hostname'), 'testhost\n');
  await writeFile(
    join(layout.etc, 'test-host.env'),
    `HOST_ADDRESS=${network.host}\nMACHINE_ADDRESS=${network.machine}\nPOSTGRES_BIN=${postgresPrograms() ?? ''}\nPROJECT=${resolve(here, '../..')}\n`,
  );
  const tenants = await readFile(join(here, '../../server-config/modules/firewall/tenants.nft'), 'utf8');
  await writeFile(join(layout.etc, 'berth/tenants.nft'), `${ruleValues}\n${tenants}`);
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(layout.etc, 'ssh/test_host_key')]);
  await database;
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
