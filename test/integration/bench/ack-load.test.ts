/** The load of `npm run bench -- ack` counts no answer but the one that acknowledges. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { measureAfterSilence, measureLoad, signedDeliveries } from '../../../scripts/bench/ack/load.ts';

test('an answer of another status than the one that acknowledges fails the measurement', async (t) => {
  let status = 202;
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(status, { 'content-length': 2 }).end('{}'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const requests = signedDeliveries();
  const short = { connections: 2, warmUpMs: 0, forMs: 50 };
  const silence = { silences: 1, silenceMs: 1 };

  await measureLoad({ port, status: 202 }, requests, short);
  await assert.rejects(measureLoad({ port, status: 200 }, requests, short), /answered HTTP\/1\.1 202/);
  status = 200;
  await measureLoad({ port, status: 200 }, requests, short);
  await assert.rejects(measureLoad({ port, status: 202 }, requests, short), /answered HTTP\/1\.1 200/);
  await assert.rejects(measureAfterSilence({ port, status: 202 }, requests, silence), /answered HTTP\/1\.1 200/);
});
