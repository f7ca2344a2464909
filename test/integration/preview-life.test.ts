/** The life of a preview through the door that GitHub and people use, on the real service: process, PostgreSQL, git, apps, gateway. */
import assert from 'node:assert/strict';
import { suite, test, before, after } from 'node:test';
import { Client } from 'pg';
import { WebSocket } from 'ws';
import { startSteadyLoad } from '../../scripts/demo/steady-load.ts';
import type { FakePullRequest } from '../support/fake-github/pull-request.ts';
import { appFiles, appWithDatabase, aRealService, type RealService } from '../support/a-real-service.ts';
import { pushAHundredTimes } from '../support/back-pressure.ts';

const REQUESTS_PER_SECOND = 200;

let service: RealService;
before(async () => {
  service = await aRealService({ concurrency: 6 });
});
after(() => service[Symbol.asyncDispose]());

test('opened, updated under load without one failed request, closed without a trace', async () => {
  const pull = await service.open('shop', appWithDatabase());
  const first = pull.head;
  await service.shows(pull, first);
  await service.says(pull, 'is live', service.hostOf(pull), first);
  await service.hasStatus(pull, 'success');

  const { operator } = service;
  const target = { port: operator.gatewayPort, host: service.hostOf(pull), path: '/environment' };
  const load = startSteadyLoad(target, REQUESTS_PER_SECOND);
  const update = async () => {
    await pull.push({ 'message.txt': 'Hello again' });
    await service.shows(pull, pull.head);
    // The switch is not over when the new commit answers: requests on kept connections may still be in the old instance.
    await service.says(pull, 'is live', pull.head);
  };
  let result;
  try {
    await update();
  } finally {
    result = await load.stop();
  }
  assert.deepEqual(result.failures, []);
  assert.equal(result.failed, 0);
  assert.ok(result.requests > REQUESTS_PER_SECOND / 4, `${result.requests} requests are no load`);
  const commits = [...result.bodies.keys()].map((body) => (JSON.parse(body) as { commit: string }).commit);
  assert.deepEqual(new Set(commits), new Set([first, pull.head]));

  await pull.close();
  await service.closeAll();
  await service.says(pull, '**Preview** removed');
  assert.equal((await service.get(pull)).status, 404);
});

suite('on one operator, side by side', { concurrency: true }, () => {
  test('rollback and destroy by command; a new push brings it back', async () => {
    const pull = await service.open('commands', appFiles('hello-node'));
    const first = pull.head;
    await service.shows(pull, first);
    await pull.push({ 'message.txt': 'Second' });
    const second = pull.head;
    await service.shows(pull, second);
    await service.says(pull, 'is live', second);

    const rolledBack = await service.preview('rollback', 'commands-1');
    assert.equal(rolledBack.status, 0, rolledBack.stderr);
    await service.shows(pull, first);
    await service.says(pull, 'is live', '(rolled back)', first);
    await service.until(
      'the status says so',
      () => pull.statuses.at(-1)?.description?.startsWith('rolled back') === true,
      {
        seen: () => JSON.stringify(pull.statuses.at(-1)),
      },
    );
    assert.equal(pull.statuses.at(-1)?.sha, second);
    assert.equal(pull.statuses.at(-1)?.state, 'pending');
    const destroyed = await service.preview('destroy', 'commands-1');
    assert.equal(destroyed.status, 0, destroyed.stderr);
    assert.equal((await service.get(pull)).status, 404);
    await service.says(pull, 'destroyed by an operator');
    await service.until('the status says so', () => pull.statuses.at(-1)?.description === 'destroyed by an operator', {
      seen: () => JSON.stringify(pull.statuses.at(-1)),
    });
    assert.equal(pull.statuses.at(-1)?.sha, second);

    await pull.push({ 'message.txt': 'Third' });
    await service.shows(pull, pull.head);
    await service.says(pull, 'is live', pull.head);
  });

  test('what an operator said is over with the next head, also when the head comes back', async () => {
    const pull = await service.open('words', appFiles('hello-node'));
    const first = pull.head;
    await service.says(pull, 'is live', first);
    await pull.push({ 'message.txt': 'Second' });
    const second = pull.head;
    await service.says(pull, 'is live', second);
    assert.equal((await service.preview('rollback', 'words-1')).status, 0);
    assert.match((await service.preview('status', 'words-1')).stdout, /live \(rolled back\)/);
    await pull.push({ 'message.txt': 'Third' });
    const third = pull.head;
    await service.says(pull, 'is live', third);
    await service.hasStatus(pull, 'success');
    assert.equal(pull.statuses.at(-1)?.description, 'live');
    assert.match((await service.preview('status', 'words-1')).stdout, /^words-1: live$/m);
    await isHeldNoMore('words-1');
    await pull.forcePushBack(second);
    await service.says(pull, 'is live', second);

    assert.equal((await service.preview('destroy', 'words-1')).status, 0);
    await service.says(pull, 'destroyed by an operator');
    await pull.forcePushBack(third);
    await service.says(pull, 'is live', third);
    await isHeldNoMore('words-1');
    await pull.forcePushBack(second);
    await service.says(pull, 'is live', second);
  });

  test('preview.toml broken and mended: the first commit goes on answering, the comment says what is wrong', async () => {
    const good = appFiles('hello-node')['preview.toml'] ?? '';
    const pull = await service.open('manifest', appFiles('hello-node'));
    const first = pull.head;
    await service.shows(pull, first);

    await pull.push({ 'preview.toml': `${good}\n[heath]\npath = "/"\n` });
    await service.says(pull, 'MANIFEST_INVALID', pull.head, 'heath');
    await service.hasStatus(pull, 'failure');
    await service.shows(pull, first);

    await pull.push({ 'preview.toml': good });
    await service.shows(pull, pull.head);
    await service.says(pull, 'is live', pull.head);
  });

  test('closed while it comes up: the commit status does not wait for ever', async () => {
    const { 'preview.toml': manifest = '', ...files } = appFiles('hello-node');
    const slow = manifest.replace(/\[setup\]\ncommand = .*\n/, '[setup]\ncommand = "sleep 600"\n');
    const pull = await service.open('unfinished', { ...files, 'preview.toml': slow });
    await service.hasStatus(pull, 'pending');
    await pull.close();
    await service.says(pull, '**Preview** removed');
    await service.hasStatus(pull, 'error');
    assert.equal(pull.statuses.at(-1)?.description, 'the preview is removed');
  });

  test('several services: paths, a stripped prefix, an extra host', async () => {
    const pull = await service.open('parts', appFiles('two-services'));
    await service.shows(pull, 'web /');
    assert.equal((await service.get(pull, '/about')).body, 'web /about\n');
    assert.equal((await service.get(pull, '/api/users?all')).body, 'api /users?all\n');
    assert.equal((await service.get(pull, '/users', 'api')).body, 'api /users\n');
    await service.says(pull, 'is live', `http://api-parts-1.localhost`);
  });

  test('a package.json and a server.js, and nothing that says how they are run', async () => {
    const { 'server.js': server = '' } = appFiles('hello-node');
    const pull = await service.open('guessed', { 'package.json': '{ "type": "module" }', 'server.js': server });
    await service.shows(pull, pull.head);
    const comment = await service.says(pull, 'is live', 'the service is `npm start`');
    assert.match(comment, /there is nothing to install or build/);
  });

  test('a WebSocket lives through an update', async () => {
    const files = appFiles('live-streams');
    const pull = await service.open('sockets', files);
    await service.shows(pull, 'streams');
    await using socket = await connect(pull);
    assert.equal(await socket.echo('before'), 'before');
    await pull.push({ 'server.js': (files['server.js'] ?? '').replace('streams\\n', 'next\\n') });
    await service.shows(pull, 'next');
    assert.equal(await socket.echo('after'), 'after');
  });

  test('the database on the host stays through updates and goes at the close', async () => {
    const pull = await service.open('data', appWithDatabase());
    const database = await databaseOf(pull);
    await query(database, "create table note as select 'kept' as text");
    await pull.push({ 'message.txt': 'Second' });
    await service.shows(pull, pull.head);
    assert.equal(await databaseOf(pull), database);
    assert.deepEqual(await query(database, 'select text from note'), [{ text: 'kept' }]);

    await pull.close();
    // Before that it says that it is being removed.
    await service.says(pull, '**Preview** removed');
    await assert.rejects(query(database, 'select 1'), /does not exist|authentication failed|pg_hba.conf rejects/);
  });

  test('R12: a hundred pushes in ten seconds are at most two builds', async (t) => {
    const { pushes, tookMs, builds } = await pushAHundredTimes(service);
    t.diagnostic(`${pushes} pushes in ${(tookMs / 1_000).toFixed(1)} s are ${builds} builds`);
    assert.ok(builds <= 2, `${builds} builds`);
  });
});

/** The preview has come to rest at another head. */
async function isHeldNoMore(slug: string): Promise<void> {
  let held: unknown[] = [];
  const isOver = async () => {
    held = await query(
      service.databaseUrl,
      `select hold from berth.previews where slug = '${slug}' and hold is not null`,
    );
    return held.length === 0;
  };
  await service.until(`${slug} is not held`, isOver, { seen: () => JSON.stringify(held) });
}

async function databaseOf(pull: FakePullRequest): Promise<string> {
  const { body } = await service.shows(pull, pull.head, '/environment');
  return (JSON.parse(body) as { databaseUrl: string }).databaseUrl;
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

async function connect(pull: FakePullRequest) {
  const socket = new WebSocket(`ws://127.0.0.1:${service.operator.gatewayPort}/`, {
    headers: { host: service.hostOf(pull) },
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return {
    echo(text: string): Promise<string> {
      const answer = new Promise<string>((resolve, reject) => {
        socket.once('message', (data: Buffer) => resolve(data.toString()));
        socket.once('close', () => reject(new Error('the WebSocket was closed')));
      });
      socket.send(text);
      return answer;
    },
    async [Symbol.asyncDispose]() {
      socket.terminate();
      return Promise.resolve();
    },
  };
}
