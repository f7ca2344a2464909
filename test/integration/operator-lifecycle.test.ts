/** The real service as a process when PostgreSQL goes and comes, when it is asked to stop, and when somebody starts it twice (promises R1, R13). */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { Agent, request, type ClientRequest } from 'node:http';
import { test } from 'node:test';
import { AnOperator } from '../support/durability/an-operator.ts';
import { isHonest } from '../support/durability/kill-under-load.ts';
import { DELIVERY_SECRET, deliveryOf, lostOf, send, type SentDelivery } from '../support/durability/sent-deliveries.ts';
import { onServer } from '../support/on-server.ts';
import { startTestServer } from '../support/test-server.ts';
import { waitUntil } from '../support/wait-until.ts';

/** Of PostgreSQL, below one operator. */
const RESTARTS = 6;

test('without PostgreSQL it says 503 and when to come back, and works again by itself when PostgreSQL is back', async () => {
  const server = await startTestServer();
  try {
    await using operator = await AnOperator.start(server.url);
    const agent = new Agent({ keepAlive: true });
    const sent: SentDelivery[] = [];
    const deliver = async (number: number) => {
      const seen = await send({ port: operator.port, agent }, operator.repositoryId, number);
      sent.push(seen);
      return seen;
    };
    assert.equal((await deliver(1)).status, 202);

    // Requests are under way all the time, also in the moments in which it goes and comes.
    const over = new AbortController();
    const load = [101, 102, 103].map(async (number) => {
      while (!over.signal.aborted) await deliver(number);
    });
    try {
      // Several times: it goes at other moments of the queue's work each time.
      for (let time = 1; time <= RESTARTS; time += 1) {
        await server.restart(async () => {
          for (const number of [2, 3, 4]) {
            const seen = await deliver(number);
            assert.equal(seen.status, 503, seen.failure);
            assert.match(seen.retryAfter ?? '', /^[1-9]\d*$/);
          }
          assert.equal((await fetch(`${operator.process.webhookUrl}/health`)).status, 200);
          assert.equal((await fetch(`${operator.process.webhookUrl}/ready`)).status, 503);
        });
        await waitUntil('deliveries are taken again', async () => (await deliver(5)).status === 202);
      }
    } finally {
      over.abort();
      await Promise.all(load);
      agent.destroy();
    }

    assert.deepEqual(
      sent.filter((each) => each.status === null || !isHonest(each)),
      [],
    );
    assert.deepEqual(await lostOf(server.url, sent), []);
    await waitUntil('the work goes on', () => operator.looksAt(5) > 0);
    await waitUntil('it is ready', async () => (await fetch(`${operator.process.webhookUrl}/ready`)).ok);
  } finally {
    await server.stop();
  }
});

test('SIGTERM in the middle of requests: each is taken in and answered, and then it ends', async () => {
  await using operator = await AnOperator.start();
  const logFile = operator.process.logFile;
  // The server says "100 Continue" when it has a request in hand; half of each body is sent.
  const begun = await Promise.all(Array.from({ length: 20 }, (_, at) => beginDelivery(operator, at + 1)));
  const stopped = operator.process.stop();
  await waitUntil('it is stopping', async () => (await readFile(logFile, 'utf8')).includes('Stopping.'));
  const sent = await Promise.all(begun.map((each) => each.finish()));
  await stopped;
  assert.deepEqual(
    sent.map(({ status }) => status),
    sent.map(() => 202),
  );
  await operator.startAgain();
  assert.deepEqual(await lostOf(await operator.databaseUrl(), sent), []);
  await waitUntil('they are worked off', () => sent.every(({ number }) => operator.looksAt(number) > 0));
});

test('`npm start` passes SIGTERM on, and is over when the service is', async () => {
  await using operator = await AnOperator.start();
  const { configFile, webhookUrl } = operator.process;
  await operator.process.stop();
  const isAlive = async () => (await fetch(`${webhookUrl}/health`).catch(() => null))?.ok === true;
  const npm = spawn('npm', ['start', '--silent', '--', '--config', configFile], {
    env: {
      ...process.env,
      DATABASE_URL: undefined,
      BERTH_GITHUB_WEBHOOK_SECRET: DELIVERY_SECRET,
      BERTH_GITHUB_TOKEN: operator.github.token,
    },
    stdio: 'ignore',
    detached: true,
  });
  try {
    const ended = once(npm, 'exit');
    await waitUntil('it is up', isAlive);
    npm.kill('SIGTERM');
    await ended;
    await waitUntil('it is gone', async () => !(await isAlive()));
  } finally {
    endGroup(npm);
  }
});

/** Whatever of it is left. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is.
  }
}

test('a second operator on the same state directory is refused; the first and its PostgreSQL do not notice', async () => {
  await using operator = await AnOperator.start();
  const agent = new Agent({ keepAlive: true });
  const deliver = (number: number) => send({ port: operator.port, agent }, operator.repositoryId, number);
  const url = await operator.databaseUrl();
  const startedAt = async () => {
    const [row] = await onServer(
      url,
      `select backend_start from pg_stat_activity where application_name = 'berth liveness'`,
    );
    return row?.['backend_start'] as Date;
  };
  const before = { postmaster: await operator.postmaster(), liveness: await startedAt() };
  assert.equal((await deliver(1)).status, 202);

  const refused = await operator.process.startBeside();
  assert.equal(refused.status, 1);
  assert.match(refused.text, /OPERATOR_ALREADY_RUNNING/);

  assert.equal((await deliver(2)).status, 202);
  assert.deepEqual({ postmaster: await operator.postmaster(), liveness: await startedAt() }, before);
  assert.ok((await fetch(`${operator.process.webhookUrl}/ready`)).ok);
  agent.destroy();
});

test('two started at once: one comes up and takes deliveries, the other is refused', async () => {
  await using operator = await AnOperator.start();
  const { process } = operator;
  const states = {
    'what a stop leaves': () => process.stop(),
    'what a kill leaves': () => process.kill(),
    // The first start makes PostgreSQL's cluster and its password.
    'no state yet': async () => {
      await process.stop();
      await rm(process.stateDirectory, { recursive: true });
    },
  };
  for (const [state, leave] of Object.entries(states)) {
    await leave();
    const refused = await process.startTwo();
    assert.equal(refused.status, 1, state);
    assert.match(refused.text, /OPERATOR_ALREADY_RUNNING/, state);
    const agent = new Agent();
    const { status } = await send({ port: operator.port, agent }, operator.repositoryId, 1);
    assert.equal(status, 202, state);
    agent.destroy();
  }
});

/** A delivery of which the server has the headers and half of the body. */
async function beginDelivery(operator: AnOperator, number: number): Promise<{ finish(): Promise<SentDelivery> }> {
  const { id, method, headers, body } = deliveryOf(operator.repositoryId, number);
  const bytes = Buffer.from(body);
  const half = bytes.length / 2;
  const outgoing = request({
    host: '127.0.0.1',
    port: operator.port,
    path: '/webhook/github',
    method,
    headers: { ...headers, 'content-length': bytes.length, expect: '100-continue' },
  });
  outgoing.flushHeaders();
  await new Promise((resolve, reject) => {
    outgoing.once('continue', resolve).once('error', reject);
  });
  outgoing.write(bytes.subarray(0, half));
  return {
    async finish() {
      const status = statusOf(outgoing);
      outgoing.end(bytes.subarray(half));
      return { id, repositoryId: operator.repositoryId, number, status: await status, retryAfter: null };
    },
  };
}

/** Null when the connection ended before an answer came. */
function statusOf(outgoing: ClientRequest): Promise<number | null> {
  return new Promise((resolve) => {
    outgoing
      .on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? null);
      })
      .on('error', () => resolve(null));
  });
}
