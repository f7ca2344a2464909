import { strict as assert } from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const script = resolve(import.meta.dirname, '../../../../server-config/modules/secrets/open-secrets.sh');
const skip = spawnSync('age', ['--help']).error === undefined ? false : 'age (apt-get install age)';

/** A host with an SSH key and a folder of opened secrets, and what is encrypted to it, by the real age. */
class Secrets implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'berth-secrets-'));
  readonly opened = join(this.folder, 'opened');

  constructor() {
    mkdirSync(this.opened, { mode: 0o700 });
    for (const name of ['host', 'other'])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.folder, name)]);
  }

  encrypted(name: string, text: string, to = 'host'): string {
    const path = join(this.folder, `${name}.age`);
    execFileSync('age', ['--encrypt', '--armor', '-R', join(this.folder, `${to}.pub`), '-o', path], { input: text });
    return path;
  }

  open(wanted: Record<string, string>) {
    const args = [script, 'age', join(this.folder, 'host'), this.opened, ...Object.entries(wanted).flat()];
    return spawnSync('bash', args, { encoding: 'utf8' });
  }

  read(name: string): string {
    return readFileSync(join(this.opened, name), 'utf8');
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

test('secrets are opened byte for byte, for root alone, and those no longer wanted go', { skip }, () => {
  using secrets = new Secrets();
  const value = 'it\'s "$(id)" `x`\n\n\ttrailing space \n';
  const a = secrets.encrypted('a', value);
  const b = secrets.encrypted('b', 'two');
  assert.equal(secrets.open({ a, b }).status, 0);
  assert.equal(secrets.read('a'), value);
  assert.equal(statSync(join(secrets.opened, 'a')).mode & 0o777, 0o400);

  const changed = secrets.encrypted('a', 'new');
  assert.equal(secrets.open({ a: changed }).status, 0);
  assert.equal(secrets.read('a'), 'new');
  assert.deepEqual(readdirSync(secrets.opened), ['a']);
});

test('a secret that can’t be opened is named, and those in use stay as they are', { skip }, () => {
  using secrets = new Secrets();
  const a = secrets.encrypted('a', 'one');
  assert.equal(secrets.open({ a }).status, 0);

  const foreign = secrets.encrypted('b', 'two', 'other');
  const changed = secrets.encrypted('a', 'changed');
  const result = secrets.open({ a: changed, b: foreign });
  assert.equal(result.status, 1);
  assert.match(result.stderr, /secret b could not be opened with \S+: was it encrypted to this host's key\?/);
  assert.equal(secrets.read('a'), 'one', 'all or none');
  assert.deepEqual(readdirSync(secrets.opened), ['a']);

  const damaged = join(secrets.folder, 'damaged.age');
  const lines = readFileSync(changed, 'utf8').split('\n');
  writeFileSync(damaged, lines.toSpliced(2, 1).join('\n'));
  assert.equal(secrets.open({ a: damaged }).status, 1);
  assert.equal(secrets.read('a'), 'one');
});
