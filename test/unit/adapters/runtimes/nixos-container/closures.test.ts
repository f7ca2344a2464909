/** What a closure is kept under: everything of the guest folder that Nix would see. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { closuresIn } from '../../../../../webhook/adapters/runtimes/nixos-container/closures.ts';
import type { HostDaemon } from '../../../../../webhook/core/host-verbs.ts';
import type { Shell } from '../../../../../webhook/ports.ts';

const answer = {
  meta: { setupService: 'prepare', appServices: ['web'], database: 'host', routes: [{ path: '/', port: 3000 }] },
  units: ['prepare', 'web'],
  drv: `/nix/store/${'0'.repeat(32)}-system.drv`,
};

test('an answer is kept until a file of the guest, its right to be run or the target of a link is another', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'berth-closures-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  let evaluated = 0;
  const hostd: HostDaemon = {
    ask: () => {
      evaluated += 1;
      return Promise.resolve({ json: JSON.stringify(answer) } as never);
    },
  };
  const shell: Shell = { run: () => Promise.reject(new Error('nothing is built')) };
  const closures = closuresIn({ guest: directory, roots: `${directory}.roots` }, { hostd, shell });
  t.after(() => rm(`${directory}.roots`, { recursive: true, force: true }));
  const evaluations = async () => {
    const before = evaluated;
    for (const _ of [1, 2]) await closures.evaluate('{ }', new AbortController().signal);
    return evaluated - before;
  };
  const file = join(directory, 'flake.nix');
  const link = join(directory, 'base.nix');

  await writeFile(file, '{ }');
  assert.equal(await evaluations(), 1);
  assert.equal(await evaluations(), 0, 'nothing has changed');
  await writeFile(file, '{ outputs = _: { }; }');
  assert.equal(await evaluations(), 1, 'another content');
  await chmod(file, 0o755);
  assert.equal(await evaluations(), 1, 'it may be run');
  await symlink('flake.nix', link);
  assert.equal(await evaluations(), 1, 'a link more');
  await unlink(link);
  await symlink('other.nix', link);
  assert.equal(await evaluations(), 1, 'the link leads elsewhere');
  // What each build brings along is in the key by itself.
  await writeFile(join(directory, 'manifest.json'), '{}');
  assert.equal(await evaluations(), 0);
});
