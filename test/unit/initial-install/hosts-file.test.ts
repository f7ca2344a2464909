import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { InstallFailure } from '../../../initial-install/failure.ts';
import { readHostsFile } from '../../../initial-install/hosts-file.ts';

const root = resolve(import.meta.dirname, '../../..');
const refused = join(root, 'test/fixtures/hosts-files');

test('the example file is accepted, with the defaults filled in', () => {
  const hosts = readHostsFile(join(root, 'initial-install/hosts.example.toml'));
  assert.deepEqual(Object.keys(hosts), ['berth-1', 'berth-2']);
  assert.equal(hosts['berth-1']?.disks.devices.length, 2);
  assert.deepEqual(hosts['berth-2']?.network, {
    mac: '96:00:00:00:00:02',
    addresses: [],
    gateways: [],
    nameservers: ['185.12.64.1', '185.12.64.2'],
  });
});

// Each file is the example with one mistake; its first line is the sentence that must be said. test/nix/disk-layouts.test.ts
// gives the same files to Nix.
for (const name of readdirSync(refused)) {
  test(`refused: ${name}`, () => {
    const path = join(refused, name);
    const expected = readFileSync(path, 'utf8').split('\n')[0]?.replace('# ', '') ?? '';
    assert.throws(
      () => readHostsFile(path),
      (error: unknown) => {
        assert.ok(error instanceof InstallFailure);
        assert.equal(error.status, 2);
        assert.ok(error.message.includes(expected), `${JSON.stringify(expected)} in ${error.message}`);
        assert.ok(error.message.includes(name), 'names the file');
        return true;
      },
    );
  });
}

test('a file that is not there says which one to copy', () => {
  assert.throws(() => readHostsFile('/nonexistent/hosts.toml'), /hosts\.toml cannot be read \(ENOENT\)/);
});
