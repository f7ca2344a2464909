/** The load of the demonstration: it ends when what it accompanies fails, and takes no answer but those that it was to get. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { objectionTo, underSteadyLoad } from '../../../scripts/demo/steady-load.ts';
import { waitUntil } from '../../support/wait-until.ts';

async function anApp(t: TestContext, answer: (nth: number) => string) {
  const app = { asked: 0, open: 0 };
  const server = createServer((_request, response) => response.end(answer((app.asked += 1))));
  server.on('connection', (socket) => {
    app.open += 1;
    socket.once('close', () => (app.open -= 1));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { app, target: { port: (server.address() as AddressInfo).port, host: 'app.localhost', path: '/' } };
}

test('the load stops when the update under it fails', async (t) => {
  const { app, target } = await anApp(t, () => 'old');
  const update = async () => {
    await waitUntil('there is load', () => app.asked > 20);
    throw new Error('the new commit does not come');
  };
  await assert.rejects(underSteadyLoad(target, 200, update), /does not come/);
  // It keeps connections for as long as it lasts.
  await waitUntil('every connection is closed', () => app.open === 0);
});

test('old and new answers together are all requests, or the load objects', async (t) => {
  const { app, target } = await anApp(t, (nth) => (nth === 7 ? 'a third commit' : nth % 2 === 0 ? 'old' : 'new'));
  const result = await underSteadyLoad(target, 200, () => waitUntil('there is load', () => app.asked > 20));
  assert.equal(result.failed, 0);
  assert.match(
    objectionTo(result, ['old', 'new']) ?? '',
    /^1 requests were answered with something else, like "a third/,
  );
  assert.equal(objectionTo(result, ['old', 'new', 'a third commit']), null);
});
