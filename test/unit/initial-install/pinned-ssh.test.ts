import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PinnedSsh } from '../../../initial-install/pinned-ssh.ts';
import { aRealSshd } from '../../support/a-rescue-system.ts';
import { freePort } from '../../support/free-port.ts';

/** The options that nixos-anywhere puts first on each of its command lines (src/nixos-anywhere.sh, 1.13.0). */
const nixosAnywhere = [
  '-o',
  'IdentitiesOnly=yes',
  '-o',
  'UserKnownHostsFile=/dev/null',
  '-o',
  'StrictHostKeyChecking=no',
];

async function sshSays(program: string, port: number): Promise<string> {
  const child = spawn(
    program,
    [...nixosAnywhere, '-o', 'BatchMode=yes', '-p', String(port), 'root@127.0.0.1', 'true'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await once(child, 'close');
  return said;
}

test('the pinned ssh refuses a real server with another key, although nixos-anywhere switches the check off', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-pinned-'));
  const port = await freePort();
  const machine = await aRealSshd(join(folder, 'machine'), port);
  if (!machine) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    t.skip('needs /usr/sbin/sshd: apt-get install openssh-server');
    return;
  }
  try {
    const ssh = await PinnedSsh.open({ folder, address: '127.0.0.1', fingerprint: machine.fingerprint, port });
    // The key is right: it gets as far as the login, which this server grants nobody.
    assert.match(await sshSays(join(ssh.binFolder, 'ssh'), port), /Permission denied/);
    await machine.stop();

    const intruder = await aRealSshd(join(folder, 'intruder'), port);
    assert.ok(intruder);
    try {
      assert.match(
        await sshSays('ssh', port),
        /Permission denied/,
        'control: without the wrapper the intruder is believed',
      );
      const said = await sshSays(join(ssh.binFolder, 'ssh'), port);
      assert.match(said, /Host key verification failed/);
      assert.doesNotMatch(said, /Permission denied/);
      await assert.rejects(ssh.ask('true'), /Host key verification failed/);
      await assert.rejects(
        PinnedSsh.open({ folder, address: '127.0.0.1', fingerprint: machine.fingerprint, port }),
        /127\.0\.0\.1 shows the host key SHA256:\S+, not SHA256:/,
      );
    } finally {
      await intruder.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});
