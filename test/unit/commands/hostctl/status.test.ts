import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { AHost } from '../../../support/a-host.ts';

interface Item {
  name: string;
  state: string;
  why: string;
}

function healthyHost(): AHost {
  const host = new AHost();
  host.generations(2, 1);
  const successMetric = join(host.folder, 'berth_backup.prom');
  writeFileSync(successMetric, `berth_backup_last_success_timestamp_seconds ${Date.now() / 1000 - 3600}\n`);
  host.settings = {
    ...host.settings,
    backup: { unit: 'restic-backups-berth.service', command: 'restic-berth', successMetric, staleAfterHours: 26 },
  };
  host.settings = {
    ...host.settings,
    kernelSettings: { 'kernel.dmesg_restrict': 1, 'net.ipv4.conf.all.accept_redirects': 0 },
    procSys: join(host.folder, 'proc-sys'),
    sudo: join(host.folder, 'sudo'),
  };
  for (const [file, value] of [
    ['kernel/dmesg_restrict', '1'],
    ['net/ipv4/conf/all/accept_redirects', '0'],
  ] as const) {
    mkdirSync(dirname(join(host.folder, 'proc-sys', file)), { recursive: true });
    writeFileSync(join(host.folder, 'proc-sys', file), `${value}\n`);
  }
  writeFileSync(join(host.folder, 'sudo'), '', { mode: 0o750 });
  // Lines as OpenSSH 9, iproute2 6 and systemd 252 print them.
  host.program(
    'sshd',
    'printf "permitrootlogin without-password\\npasswordauthentication no\\nkbdinteractiveauthentication no\\n"',
  );
  host.program(
    'ss',
    'printf "LISTEN 0 4096 0.0.0.0:22 0.0.0.0:*\\nLISTEN 0 4096 [::]:443 [::]:*\\nLISTEN 0 9 127.0.0.1:5432 0.0.0.0:*\\n"',
  );
  host.program('systemctl', 'if [ "$1" = is-active ]; then echo active; fi');
  host.program('nix', 'echo "root berth-builder"');
  return host;
}

const items = (json: Record<string, unknown>) => new Map((json['baseline'] as Item[]).map((item) => [item.name, item]));

test('status of a healthy host: every item held, status 0, nothing changed and no lock taken', () => {
  using host = healthyHost();
  const result = host.hostctl('status');
  assert.equal(result.status, 0, result.stdout);
  assert.deepEqual(
    [...items(result.json).values()].filter(({ state }) => state !== 'held'),
    [],
  );
  assert.equal(result.json['generation'], 2);
});

test('status names each broken item with what was seen', () => {
  using host = healthyHost();
  host.program('sshd', 'printf "permitrootlogin yes\\npasswordauthentication yes\\n"');
  host.program('ss', 'printf "LISTEN 0 9 *:5432 *:*\\n"');
  host.program(
    'systemctl',
    'if [ "$1" = is-active ]; then echo inactive; exit 3; fi; echo "x.service loaded failed failed X"',
  );
  host.program('nix', 'echo "*"');
  chmodSync(host.checkout, 0o777);
  chmodSync(join(host.folder, 'sudo'), 0o755);
  writeFileSync(join(host.folder, 'proc-sys/kernel/dmesg_restrict'), '0\n');
  rmSync(join(host.folder, 'proc-sys/net'), { recursive: true });
  host.settings = { ...host.settings, backup: null };
  const result = host.hostctl('status');
  assert.equal(result.status, 1);
  const found = items(result.json);
  const expected: Record<string, RegExp> = {
    'ssh-password-refused': /sshd allows passwordauthentication, kbdinteractiveauthentication/,
    'root-by-key-only': /PermitRootLogin yes/,
    'open-ports': /unexpected: 5432/,
    firewall: /nftables\.service is inactive/,
    fail2ban: /fail2ban\.service is inactive/,
    'kernel-settings': /kernel\.dmesg_restrict is 0, not 1; net\.ipv4\.conf\.all\.accept_redirects is missing, not 0/,
    'sudo-wheel-only': /every user may run/,
    'nix-users-restricted': /allowed-users: \*/,
    'no-failed-units': /x\.service/,
    'configuration-hardened': /1 entries are open/,
    'backup-recent': /no backup is configured/,
  };
  assert.deepEqual([...found.keys()].sort(), Object.keys(expected).sort());
  for (const [name, why] of Object.entries(expected)) {
    assert.equal(found.get(name)?.state, 'broken', name);
    assert.match(found.get(name)?.why ?? '', why);
  }
});

test('an opt-out is shown with its reason, and does not break the baseline', () => {
  using host = healthyHost();
  host.program('ss', 'printf "LISTEN 0 9 0.0.0.0:25 0.0.0.0:*\\n"');
  host.settings = { ...host.settings, optOuts: { 'open-ports': 'this host is also the mail relay' } };
  const result = host.hostctl('status');
  assert.equal(result.status, 0);
  assert.deepEqual(items(result.json).get('open-ports'), {
    name: 'open-ports',
    state: 'opted-out',
    why: 'this host is also the mail relay',
  });
});
