import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AHost } from '../../../support/a-host.ts';

function withBackup(): AHost {
  const host = new AHost();
  host.generations(1);
  const successMetric = join(host.folder, 'berth_backup.prom');
  host.settings = {
    ...host.settings,
    backup: { unit: 'restic-backups-berth.service', command: 'restic-berth', successMetric, staleAfterHours: 26 },
  };
  // As restic 0.14 prints it with --json, shortened.
  host.program(
    'restic-berth',
    `echo '[{"time":"2026-07-01T03:00:00Z","paths":["/var/lib/berth"],"id":"${'a'.repeat(64)}","short_id":"aaaaaaaa"}]'`,
  );
  return host;
}

test('backup run starts the unit, waits for it and passes its verdict on', () => {
  using host = withBackup();
  assert.equal(host.hostctl('backup', 'run').status, 0);
  assert.deepEqual(host.ran(), ['systemctl start restic-backups-berth.service']);
  host.program('systemctl', 'exit 1');
  const failed = host.hostctl('backup', 'run');
  assert.equal(failed.status, 1);
  assert.match(String(failed.json['hint']), /journalctl -u restic-backups-berth\.service/);
  assert.equal(failed.json['verb'], 'backup run');
});

test('backup list shows what the repository holds', () => {
  using host = withBackup();
  const listed = host.hostctl('backup', 'list');
  assert.equal(listed.status, 0, listed.stderr);
  assert.equal((listed.json['snapshots'] as { short_id: string }[])[0]?.short_id, 'aaaaaaaa');
  host.program('restic-berth', 'echo "Fatal: wrong password or no key found" >&2; exit 1');
  assert.match(String(host.hostctl('backup', 'list').json['error']), /wrong password/);
});

test('backup restore writes only into an empty folder and takes no path or option for a snapshot', () => {
  using host = withBackup();
  const target = join(host.folder, 'restored');
  assert.equal(host.hostctl('backup', 'restore', 'latest', '--target', target).status, 0);
  assert.deepEqual(host.ran(), [`restic-berth restore latest --target ${target}`]);
  writeFileSync(join(target, 'file'), '');
  assert.equal(host.hostctl('backup', 'restore', 'latest', '--target', target).status, 3);
  for (const snapshot of ['../x', 'latest --delete', 'ab', '--repo=x']) {
    assert.equal(host.hostctl('backup', 'restore', '--target', target, '--', snapshot).status, 2, snapshot);
  }
  assert.equal(host.hostctl('backup', 'restore', 'latest', '--target', 'here').status, 2);
  assert.equal(host.ran().length, 1);
});

test('a host without a backup says so', () => {
  using host = new AHost();
  host.generations(1);
  const result = host.hostctl('backup', 'run');
  assert.equal(result.status, 3);
  assert.match(String(result.json['hint']), /services\.berth\.backup/);
  mkdirSync(join(host.folder, 'empty'));
  assert.deepEqual(readdirSync(join(host.folder, 'empty')), []);
});
