import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { supervisorStarter } from '../../../../../webhook/adapters/runtimes/process/supervisor-process.ts';
import { SUPERVISOR_ERRORS_MAX_BYTES } from '../../../../../webhook/core/limits.ts';

test('what supervisors said before is kept up to its bound, and begun anew beyond it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-supervisors-'));
  const errors = join(folder, 'errors');
  try {
    for (const [size, kept] of [
      [SUPERVISOR_ERRORS_MAX_BYTES, SUPERVISOR_ERRORS_MAX_BYTES],
      [SUPERVISOR_ERRORS_MAX_BYTES + 1, 0],
    ] as const) {
      writeFileSync(errors, 'x'.repeat(size));
      await supervisorStarter({ compileCache: join(folder, 'cache'), errors }).close();
      assert.equal(readFileSync(errors).length, kept);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});
