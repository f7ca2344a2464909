import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const script = resolve(import.meta.dirname, '../../../../server-config/modules/auto-upgrade/reboot-if-needed.sh');

/** Two systems, the booted and the current one, a clock that says what it is told, and a systemctl that only writes down. */
function run(options: { now: string; newKernel: boolean }): { rebooted: boolean; said: string } {
  const folder = mkdtempSync(join(tmpdir(), 'berth-reboot-'));
  try {
    for (const system of ['booted', 'current']) {
      mkdirSync(join(folder, system));
      for (const part of ['kernel', 'initrd', 'kernel-modules']) {
        const version = options.newKernel && system === 'current' && part === 'kernel' ? 'new' : 'old';
        mkdirSync(join(folder, `${part}-${version}`), { recursive: true });
        symlinkSync(join(folder, `${part}-${version}`), join(folder, system, part));
      }
    }
    const program = (name: string, body: string) => {
      mkdirSync(join(folder, 'bin'), { recursive: true });
      writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${body}\n`);
      chmodSync(join(folder, 'bin', name), 0o755);
    };
    program('systemctl', `echo "$@" > ${folder}/rebooted`);
    program('date', `echo ${options.now}`);
    const args = [script, '03:00', '06:00', join(folder, 'booted'), join(folder, 'current')];
    const { status, stdout } = spawnSync('bash', args, {
      encoding: 'utf8',
      env: { PATH: `${folder}/bin:${process.env['PATH']}` },
    });
    assert.equal(status, 0);
    return { rebooted: existsSync(join(folder, 'rebooted')), said: stdout };
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

test('a host reboots for a new kernel in the window, and says why it does not', () => {
  assert.equal(run({ now: '04:30', newKernel: true }).rebooted, true);
  assert.equal(run({ now: '03:00', newKernel: true }).rebooted, true);
  const outside = run({ now: '06:01', newKernel: true });
  assert.equal(outside.rebooted, false);
  assert.match(outside.said, /a new kernel waits for a reboot; it is 06:01, and the window is 03:00 to 06:00/);
  assert.equal(run({ now: '02:59', newKernel: true }).rebooted, false);
  const same = run({ now: '04:30', newKernel: false });
  assert.equal(same.rebooted, false);
  assert.match(same.said, /is the configured one/);
});
