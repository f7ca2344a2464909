import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostDaemonAt } from '../../../webhook/adapters/hostd/client.ts';

// Found by the histories on a host: a preview that was overtaken at that moment kept its place for work until the operator was killed.
test('a question to hostd that is given up while it connects is over', { timeout: 10_000 }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'berth-hostd-client-'));
  t.after(() => rm(directory, { recursive: true }));
  const server = createServer().listen(join(directory, 'socket'));
  t.after(() => server.close());
  await once(server, 'listening');

  const overtaken = new AbortController();
  const asking = hostDaemonAt(join(directory, 'socket')).ask({ verb: 'list-containers' }, { signal: overtaken.signal });
  overtaken.abort(new Error('something newer is wanted'));
  await assert.rejects(asking, /something newer is wanted/);
});
