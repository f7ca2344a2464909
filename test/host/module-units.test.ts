import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { hostTest } from './host-test.ts';
import { bringUpTestHost, type TestHost } from './test-host.ts';

/**
 * Units of the host modules, as rendered (test/fixtures/rendered), under a real systemd: that a sandbox is verified and well scored does not say that the
 * program still works in it. Only store paths are replaced, by the same programs and scripts of this machine.
 */
const project = resolve(import.meta.dirname, '../..');
const node = join(project, 'node_modules/node/bin/node');

const scripts = new Map(
  ['secrets', 'backup', 'auto-upgrade'].flatMap((module) => {
    const folder = join(project, 'server-config/modules', module);
    return readdirSync(folder)
      .filter((name) => name.endsWith('.sh'))
      .map((name): [string, string] => [name, join(folder, name)]);
  }),
);

function unitText(name: string, replaced: Readonly<Record<string, string>> = {}): string {
  let text = readFileSync(join(project, 'test/fixtures/rendered/units', name), 'utf8')
    .replace(/^Environment="(PATH|LOCALE_ARCHIVE|TZDIR)=.*\n/gm, '')
    .replace(/\/nix\/store\/0+-[^/\s]+\/bin\/hostctl/g, `${node} ${join(project, 'webhook/commands/hostctl/main.ts')}`)
    .replace(/\/nix\/store\/0+-[^/\s]+\/bin\//g, '/usr/bin/')
    .replace(/\/nix\/store\/0+-([^/\s]+\.sh)/g, (whole, script: string) => scripts.get(script) ?? whole);
  for (const [from, to] of Object.entries(replaced)) {
    assert.ok(text.includes(from), `${name} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  assert.doesNotMatch(text, /\/nix\/store/, basename(name));
  return text;
}

const write = (host: TestHost, path: string, text: string) =>
  host.run(['sh', '-c', 'mkdir -p "$(dirname "$1")" && cat > "$1"', 'sh', path], { input: text });
const read = async (host: TestHost, path: string) => (await host.run(['cat', path])).stdout;

async function start(host: TestHost, name: string, text: string): Promise<void> {
  await write(host, `/etc/systemd/system/${name}`, text);
  await host.run(['systemctl', 'daemon-reload']);
  const started = await host.run(['systemctl', 'start', name], { reject: false });
  const log = await host.run(['journalctl', '--unit', name, '--output=cat', '--no-pager'], { reject: false });
  assert.equal(started.exitCode, 0, `${name}: ${started.stderr}\n${log.stdout}`);
}

hostTest('secrets are opened in their sandbox and reach another unit as a credential', async () => {
  await using host = await bringUpTestHost();
  await host.run([
    'sh',
    '-c',
    'test -e /etc/ssh/ssh_host_ed25519_key || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key',
  ]);
  await write(host, '/opt/plain', 'it’s a "secret"\n');
  await host.run([
    'age',
    '--encrypt',
    '--armor',
    '-R',
    '/etc/ssh/ssh_host_ed25519_key.pub',
    '-o',
    '/opt/token.age',
    '/opt/plain',
  ]);
  const rendered = unitText('berth-secrets.service', {
    '/nix/store/00000000000000000000000000000000-token.age': '/opt/token.age',
  });
  await start(host, 'berth-secrets.service', rendered);
  const folder = (await host.run(['stat', '-c', '%a', '/run/berth-secrets', '/run/berth-secrets/restic-password']))
    .stdout;
  assert.deepEqual(folder.trim().split('\n'), ['700', '400']);

  const reader = `[Service]\nType=oneshot\nDynamicUser=yes\nRuntimeDirectory=got\nRuntimeDirectoryPreserve=yes\nLoadCredential=restic-password:/run/berth-secrets/restic-password\nExecStart=/bin/sh -c 'cp "$CREDENTIALS_DIRECTORY/restic-password" /run/got/it'\n`;
  await start(host, 'reader.service', reader);
  assert.equal(await read(host, '/run/got/it'), await read(host, '/opt/plain'));
}, ['age']);

hostTest(
  'the restore drill restores and reads a real snapshot in its sandbox, and a success is written down',
  async () => {
    await using host = await bringUpTestHost();
    await write(host, '/var/secrets/restic-password', 'test');
    await write(host, '/opt/all.sql', 'CREATE TABLE x();\n--\n-- PostgreSQL database cluster dump complete\n--\n');
    await host.run([
      'sh',
      '-c',
      'mkdir -p /var/backup/postgresql && zstd -q /opt/all.sql -o /var/backup/postgresql/all.sql.zstd && chown 1234:1234 /var/backup/postgresql/all.sql.zstd',
    ]);
    const env = {
      RESTIC_REPOSITORY: '/var/repository',
      RESTIC_PASSWORD_FILE: '/var/secrets/restic-password',
      RESTIC_CACHE_DIR: '/var/cache/restic',
    };
    await host.run(['restic', '--quiet', 'init'], { env });
    await host.run(['restic', '--quiet', 'backup', '/var/backup/postgresql', '/etc/ssh'], { env });
    const drill = unitText('berth-restore-drill.service', {
      'sftp:u123456@u123456.your-storagebox.de:berth-1': '/var/repository',
    });
    // restic of Debian writes a lock into a repository on disk, which is another machine's in real life.
    await start(
      host,
      'berth-restore-drill.service',
      drill.replace('[Service]\n', '[Service]\nReadWritePaths=/var/repository\n'),
    );
    assert.deepEqual((await host.run(['ls', '/var/cache/berth-restore-drill'])).stdout.trim(), 'restic');

    await host.run(['mkdir', '-p', '/var/lib/berth-metrics']);
    await start(host, 'berth-backup-succeeded.service', unitText('berth-backup-succeeded.service'));
    assert.match(
      await read(host, '/var/lib/berth-metrics/berth_backup.prom'),
      /^berth_backup_last_success_timestamp_seconds \d+$/m,
    );
  },
);

hostTest('maintenance takes a checkout back from the user it was lent to, in its sandbox', async () => {
  await using host = await bringUpTestHost();
  await write(
    host,
    '/etc/berth/hostctl.json',
    readFileSync(join(project, 'test/fixtures/rendered/hostctl/hostctl.json'), 'utf8'),
  );
  await host.run([
    'sh',
    '-c',
    'mkdir -p /etc/nixos/server-config /nix/var/nix/profiles /var/log/berth && touch /etc/nixos/server-config/flake.nix && chown -R 1234:1234 /etc/nixos && chmod -R g+w /etc/nixos',
  ]);
  await write(
    host,
    '/var/lib/berth-hostctl/softened.json',
    JSON.stringify({ user: 'somebody', until: '2026-01-01T00:00:00.000Z' }),
  );
  // Stands in for the store, which a test must not collect.
  await write(host, '/opt/fakes/nix-store', '#!/bin/sh\nexit 0\n');
  await host.run(['chmod', '+x', '/opt/fakes/nix-store']);
  const unit = unitText('berth-maintain.service').replace(
    '[Service]\n',
    '[Service]\nEnvironment=PATH=/opt/fakes:/usr/bin:/bin\n',
  );
  await start(host, 'berth-maintain.service', unit);
  const owners = (await host.run(['stat', '-c', '%U %a', '/etc/nixos', '/etc/nixos/server-config/flake.nix'])).stdout;
  assert.deepEqual(owners.trim().split('\n'), ['root 755', 'root 644']);
  assert.match(
    await read(host, '/var/log/berth/maintenance.log'),
    /maintain\/harden put 3 entries right\n.*maintain\/gc removed 0 generations/,
  );
});

hostTest('a host that runs the configured kernel does not reboot', async () => {
  await using host = await bringUpTestHost();
  await host.run([
    'sh',
    '-c',
    'mkdir -p /opt/system/kernel /opt/system/initrd /opt/system/kernel-modules && ln -s /opt/system /run/booted-system && ln -s /opt/system /run/current-system',
  ]);
  await start(host, 'berth-reboot-if-needed.service', unitText('berth-reboot-if-needed.service'));
  const said = (await host.run(['journalctl', '--unit', 'berth-reboot-if-needed', '--output=cat'])).stdout;
  assert.match(said, /the running kernel is the configured one/);
});
