/** The operators' socket: who can reach it, what is left after a kill, and what it answers to nonsense. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildApiServer, listenOnSocket } from '../../../webhook/http/api-server.ts';
import { AnApiOperator } from '../../support/an-api-operator.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
}

function ask(
  socketPath: string,
  method: string,
  path: string,
  body?: string,
  type = 'application/json',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(body) };
    const sent = request({ socketPath, method, path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('nobody else can enter: the directory is 0700, the socket 0600, and both are so from the first moment', async () => {
  await using operator = await AnApiOperator.start();
  assert.equal(statSync(join(operator.folder, 'run')).mode & 0o777, 0o700);
  assert.equal(statSync(operator.socket).mode & 0o777, 0o600);
  await operator.server.close();
  assert.ok(!existsSync(operator.socket), 'closed, it is gone');
});

test('a socket that answers is left alone; one that nobody answers is replaced', async () => {
  await using operator = await AnApiOperator.start();
  const second = buildApiServer(operator.op);
  await assert.rejects(listenOnSocket(second, operator.socket), { code: 'OPERATOR_ALREADY_RUNNING' });
  assert.equal((await ask(operator.socket, 'GET', '/previews')).status, 200, 'the first one still answers');

  // A listener that is killed leaves its socket behind; Node removes it only when closed in peace.
  const stale = join(operator.folder, 'run', 'stale.sock');
  const killed = createServer();
  await new Promise<void>((done) => killed.listen(stale, done));
  const kept = join(operator.folder, 'run', 'kept.sock');
  renameSync(stale, kept);
  await new Promise((done) => killed.close(done));
  await listenOnSocket(second, kept);
  assert.equal((await ask(kept, 'GET', '/previews')).status, 200);
  await second.close();
});

test('a directory that others may enter, and a file that is no socket, are refused and left as they are', async () => {
  await using operator = await AnApiOperator.start();
  const folder = mkdtempSync(join(tmpdir(), 'berth-socket-'));
  try {
    const open = join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o755);
    const app = buildApiServer(operator.op);
    await assert.rejects(listenOnSocket(app, join(open, 'x.sock')), {
      code: 'CONFIG_INVALID',
      message: /can be entered by others/,
    });
    assert.equal(statSync(open).mode & 0o777, 0o755);
    const file = join(folder, 'file');
    writeFileSync(file, 'not a socket');
    await assert.rejects(listenOnSocket(app, file), { code: 'CONFIG_INVALID', message: /is not a socket/ });
    assert.ok(existsSync(file));
    await assert.rejects(listenOnSocket(app, join(file, 'below/x.sock')), {
      code: 'CONFIG_INVALID',
      message: /^operator\.socket: .*\/file\/below cannot be made \(ENOTDIR\)/,
    });
    await app.close();
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});

test('nonsense gets 4xx with a code, never 5xx, and nothing is asked for', async () => {
  await using operator = await AnApiOperator.start();
  const { socket } = operator;
  const cases: [Parameters<typeof ask>, number][] = [
    [[socket, 'GET', '/'], 404],
    [[socket, 'GET', '/previews/'], 400],
    [[socket, 'PUT', '/previews'], 404],
    [[socket, 'GET', '/previews/..%2f..%2fetc'], 400],
    [[socket, 'GET', '/previews/%00'], 400],
    [[socket, 'GET', '/previews/%zz'], 400],
    [[socket, 'GET', `/previews/${'x'.repeat(900)}`], 400],
    [[socket, 'GET', '/previews/a-1/logs?lines=x'], 400],
    [[socket, 'GET', '/previews/a-1/logs?lines=1e9'], 400],
    [[socket, 'GET', '/previews/a-1/logs?foo=1'], 400],
    [[socket, 'GET', '/watch'], 400],
    [[socket, 'GET', '/watch?key=1/pull/0'], 400],
    [[socket, 'GET', '/watch?key=1&key=2'], 400],
    [[socket, 'POST', '/previews'], 400],
    [[socket, 'POST', '/previews', '{'], 400],
    [[socket, 'POST', '/previews', '[]'], 400],
    [[socket, 'POST', '/previews', 'null'], 400],
    [[socket, 'POST', '/previews', '{"repository":1,"branch":{}}'], 400],
    [[socket, 'POST', '/previews', '{"repository":"other/shop","branch":"x","slug":"y"}'], 400],
    [[socket, 'POST', '/previews', '{"__proto__":{"x":1},"repository":"a/b","branch":"c"}'], 400],
    [[socket, 'POST', '/previews', 'repository=a', 'application/x-www-form-urlencoded'], 400],
    [[socket, 'POST', '/previews', JSON.stringify({ repository: 'a/b', branch: 'x'.repeat(100_000) })], 400],
    [[socket, 'POST', '/doctor', '{"fix":"yes"}'], 400],
  ];
  for (const [words, status] of cases) {
    const { status: got, body } = await ask(...words);
    assert.equal(got, status, `${words.slice(1).join(' ').slice(0, 80)}: ${body}`);
    const { error } = JSON.parse(body) as { error: { code: string; message: string; hint: string } };
    assert.equal(error.code, 'BAD_REQUEST');
    assert.ok(error.message.length > 0 && error.message.length <= 512 && error.hint.length > 0);
  }
  assert.equal(operator.world.state.previews.size, 0);
});

test('no password leaves the operator', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, 'a'.repeat(40), 'with-database');
  assert.equal((await operator.preview('create', 'other/shop', 'branch-7')).status, 0);
  const password = [...operator.world.state.previews.values()][0]?.database?.password ?? '';
  assert.match(password, /^password-/);
  for (const path of ['/previews', '/previews/shop-7', '/previews/shop-7/plan', '/previews/shop-7/logs'])
    assert.ok(!(await ask(operator.socket, 'GET', path)).body.includes(password), path);
  assert.match((await ask(operator.socket, 'GET', '/previews/shop-7')).body, /"hasDatabase":true/);
});

test('whoever follows and goes away leaves nothing running', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, 'a'.repeat(40));
  await operator.preview('create', 'other/shop', 'branch-7');
  for (let count = 0; count < 50; count += 1) {
    const socket = connect(operator.socket);
    socket.write('GET /watch?key=103/pull/7 HTTP/1.0\r\nHost: operator\r\n\r\n');
    await new Promise((done) => socket.once('data', done));
    socket.destroy();
  }
  const { promise, resolve } = Promise.withResolvers<number>();
  operator.server.server.getConnections((_, count) => resolve(count));
  assert.ok((await promise) <= 1);
});
