import { strict as assert } from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const scripts = resolve(import.meta.dirname, '../../../../server-config/modules/backup');
const missing = ['restic', 'zstd'].filter((program) => spawnSync(program, ['--help']).error !== undefined);
const skip = missing.length === 0 ? false : `${missing.join(', ')} (apt-get install ${missing.join(' ')})`;

/** A restic repository on disk, with the real restic, and a host whose dumps lie in a folder. */
class Backups implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'berth-backups-'));
  readonly dumps = join(this.folder, 'dumps');
  readonly cache = join(this.folder, 'cache');
  readonly #env = {
    ...process.env,
    RESTIC_REPOSITORY: join(this.folder, 'repository'),
    RESTIC_PASSWORD: 'test',
    RESTIC_CACHE_DIR: join(this.folder, 'restic-cache'),
  };

  constructor() {
    mkdirSync(this.dumps);
    mkdirSync(this.cache);
    this.restic('init');
  }

  restic(...args: string[]): void {
    execFileSync('restic', ['--quiet', ...args], { env: this.#env, stdio: 'pipe' });
  }

  dump(text: string): Buffer {
    const packed = execFileSync('zstd', ['--quiet', '--stdout'], { input: text });
    writeFileSync(join(this.dumps, 'all.sql.zstd'), packed);
    return packed;
  }

  drill(...dumps: string[]) {
    return spawnSync('bash', [join(scripts, 'restore-drill.sh'), this.cache, ...dumps], {
      encoding: 'utf8',
      env: this.#env,
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const wholeDump = `CREATE TABLE x();\n${'-- row\n'.repeat(1000)}--\n-- PostgreSQL database cluster dump complete\n--\n\n`;

test('the drill restores the newest snapshot, reads its dump to the end, and leaves nothing', { skip }, () => {
  using backups = new Backups();
  backups.dump(wholeDump);
  backups.restic('backup', backups.dumps);
  const drill = backups.drill(backups.dumps);
  assert.equal(drill.status, 0, drill.stderr);
  assert.deepEqual(readdirSync(backups.cache), []);
});

test('the drill fails when the dump is cut off, damaged, or not there', { skip }, () => {
  using backups = new Backups();
  backups.dump(wholeDump.slice(0, 3000));
  backups.restic('backup', backups.dumps);
  const cut = backups.drill(backups.dumps);
  assert.equal(cut.status, 1);
  assert.match(cut.stderr, /does not end as a whole one does/);

  const packed = backups.dump(wholeDump);
  writeFileSync(join(backups.dumps, 'all.sql.zstd'), packed.subarray(0, packed.length - 9));
  backups.restic('backup', backups.dumps);
  assert.notEqual(backups.drill(backups.dumps).status, 0, 'damaged');

  rmSync(join(backups.dumps, 'all.sql.zstd'));
  writeFileSync(join(backups.dumps, 'README'), 'no dump');
  backups.restic('backup', backups.dumps);
  const none = backups.drill(backups.dumps);
  assert.equal(none.status, 1);
  assert.match(none.stderr, /holds no dump of the databases/);
  assert.deepEqual(readdirSync(backups.cache), []);
});

test('the drill fails when there is no snapshot, or the password is another one', { skip }, () => {
  using backups = new Backups();
  assert.notEqual(backups.drill().status, 0);
});

test('the time of the last success is written whole, in the node exporter’s format', () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-success-'));
  try {
    const file = join(folder, 'berth_backup.prom');
    const before = Math.floor(Date.now() / 1000);
    assert.equal(spawnSync('bash', [join(scripts, 'write-success.sh'), file]).status, 0);
    const text = readFileSync(file, 'utf8');
    const seconds = Number(/^berth_backup_last_success_timestamp_seconds (\d+)$/m.exec(text)?.[1]);
    assert.ok(seconds >= before && seconds <= before + 60, text);
    assert.match(text, /^# HELP .*\n# TYPE berth_backup_last_success_timestamp_seconds gauge\n/);
    assert.equal(statSync(file).mode & 0o777, 0o644, 'the exporter can read it');
    assert.deepEqual(readdirSync(folder), ['berth_backup.prom']);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});
