import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { operatorApi } from '../../../webhook/commands/operator-api.ts';

void test('an operator that goes away before it has read or answered is said to be away, whatever the socket calls it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-api-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'operator.sock');
  // Unread words are answered with a reset, later ones with a broken pipe, and none with the end.
  const server = createServer((socket) => socket.destroy()).listen(path);
  t.after(() => server.close());
  await once(server, 'listening');
  for (let time = 0; time < 20; time += 1)
    await assert.rejects(operatorApi(path).ask('GET', '/previews'), { code: 'OPERATOR_UNREACHABLE' });
});
