import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const script = resolve(import.meta.dirname, '../../../server-config/guest/run-setup-once.sh');

test('the setup runs until it has succeeded once, with its words as they are', () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-setup-'));
  try {
    const marker = join(folder, 'done');
    const log = join(folder, 'log');
    const setup = (body: string, ...words: string[]) =>
      spawnSync('bash', [script, marker, 'bash', '-ec', body, 'app', ...words], { encoding: 'utf8' });
    assert.equal(setup('exit 7').status, 7, 'its own status');
    assert.equal(existsSync(marker), false);
    assert.equal(setup(`printf '%s\\n' "$@" >> ${log}`, 'it\'s "$HOME"', '%h').status, 0);
    assert.equal(readFileSync(log, 'utf8'), 'it\'s "$HOME"\n%h\n');
    const again = setup(`echo twice >> ${log}`);
    assert.equal(again.status, 0);
    assert.match(again.stdout, /has succeeded before/);
    assert.doesNotMatch(readFileSync(log, 'utf8'), /twice/);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});
