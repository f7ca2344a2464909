import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { httpHealth } from '../../../../webhook/adapters/health/http-health.ts';
import { FAILURE_TAIL_LINES, LOG_LINE_MAX_BYTES } from '../../../../webhook/core/limits.ts';
import type { Clock, InstanceSpec, LogLine, Runtime } from '../../../../webhook/ports.ts';
import { aProcessRuntime, processesMentioning } from '../../../support/a-process-runtime.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const clock: Clock = { now: () => new Date(), sleep: (ms, signal) => delay(ms, undefined, { signal }) };
const health = httpHealth({ clock });
const signal = new AbortController().signal;

async function healthy(runtime: Runtime, spec: InstanceSpec): Promise<void> {
  const upstreams = Object.values(runtime.upstreamsOf(spec));
  const [main] = upstreams;
  assert.ok(main !== undefined);
  await health.check(
    { upstreams, main, path: '/', declared: false, timeoutMs: 20_000, host: 'x' },
    async () => null,
    signal,
  );
}

async function get(runtime: Runtime, spec: InstanceSpec, path: string, port = '3000'): Promise<string> {
  const upstream = runtime.upstreamsOf(spec)[port];
  assert.ok(upstream !== undefined);
  const response = await fetch(`http://${upstream.address}:${upstream.port}${path}`);
  return response.text();
}

async function linesOf(runtime: Runtime, spec: InstanceSpec): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of runtime.logs(spec.name, { follow: false, tailLines: 1_000, signal })) lines.push(line);
  return lines;
}

for (const useBubblewrap of [true, false]) {
  const how = useBubblewrap ? 'in bubblewrap' : 'without a sandbox';

  test(`an app is set up, started, observed, stopped and removed ${how}`, async (t) => {
    const { runtime, place, directory } = await aProcessRuntime(t, { useBubblewrap });
    if (useBubblewrap && !runtime.describe().includes('bubblewrap sandbox'))
      return t.skip(`needs a working bubblewrap: ${runtime.describe()}`);
    const spec = await place('hello-node');
    await runtime.setUp(spec, signal);
    await runtime.start(spec, signal);
    await healthy(runtime, spec);
    const facts = JSON.parse(await get(runtime, spec, '/environment')) as object;
    assert.deepEqual(facts, {
      commit: 'abc',
      branch: 'main',
      url: 'http://shop-1.localhost:8080',
      host: `${spec.addresses.instance}:${runtime.upstreamsOf(spec)['3000']?.port}`,
      built: 'built from main',
      hasDatabase: false,
    });
    const observed = { name: spec.name, running: true, services: [{ name: 'web', state: 'running', restarts: 0 }] };
    assert.deepEqual(await runtime.observe(spec.name), observed);
    assert.deepEqual(await runtime.list(), [observed]);

    await runtime.stop(spec.name);
    assert.deepEqual(await runtime.observe(spec.name), { name: spec.name, running: false, services: [] });
    await runtime.close();
    assert.deepEqual(processesMentioning(directory), []);
    const texts = (await linesOf(runtime, spec)).map((line) => `${line.source}: ${line.text}`);
    assert.deepEqual(texts, [
      'setup: building abc',
      `web: listening on ${spec.addresses.instance}:${runtime.upstreamsOf(spec)['3000']?.port}`,
      'web: stopping',
    ]);

    await runtime.remove(spec.name);
    assert.equal(await runtime.observe(spec.name), null);
    assert.equal(existsSync(join(directory, spec.name)), false);
    assert.deepEqual(
      readdirSync(directory).filter((each) => !each.startsWith('.')),
      [],
    );
    await runtime.remove(spec.name);
  });

  test(`a service that ends is started again, and its pauses grow ${how}`, async (t) => {
    const { runtime, place } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('crashes');
    await runtime.start(spec, signal);
    const service = async () => (await runtime.observe(spec.name))?.services[0];
    await waitUntil('it was restarted three times', async () => ((await service())?.restarts ?? 0) >= 3);
    await runtime.stop(spec.name);
    const texts = (await linesOf(runtime, spec)).map((line) => line.text);
    assert.ok(texts.includes('Error: Cannot find module "left-pad"'));
    for (const pauseMs of [100, 200, 400])
      assert.ok(texts.includes(`[berth] ended with status 1; it is started again in ${pauseMs} ms`), texts.join('\n'));
  });

  test(`a setup that fails says so with its last lines ${how}`, async (t) => {
    const { runtime, place } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('setup-fails');
    const lines = Array.from({ length: 24 }, (_, index) => `step ${index + 17}`);
    await assert.rejects(runtime.setUp(spec, signal), {
      code: 'SETUP_FAILED',
      message: 'The setup command ended with status 7.',
      detail: [...lines, 'the migration does not apply'].join('\n'),
    });
    const all = await linesOf(runtime, spec);
    assert.equal(all.length, 42);
    assert.equal(all.at(-1)?.text, '[berth] ended with status 7');
  });

  test(`the last lines of a setup come whole, however long they are ${how}`, async (t) => {
    const { runtime, place } = await aProcessRuntime(t, { useBubblewrap });
    const line = '"'.repeat(LOG_LINE_MAX_BYTES);
    const script = `for (let n = 0; n < ${FAILURE_TAIL_LINES}; n += 1) console.log('"'.repeat(${line.length})); process.exitCode = 1`;
    const setup = { command: ['node', '-e', script], timeoutSeconds: 20 };
    const spec = await place('setup-fails', { manifest: { setup } });
    await assert.rejects(runtime.setUp(spec, signal), {
      code: 'SETUP_FAILED',
      detail: Array.from({ length: FAILURE_TAIL_LINES }, () => line).join('\n'),
    });
  });

  test(`a setup that cannot be begun has failed, and says why ${how}`, async (t) => {
    const { runtime, place, directory } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('setup-fails');
    rmSync(join(directory, spec.name, 'logs'), { recursive: true });
    await assert.rejects(runtime.setUp(spec, signal), { code: 'RUNTIME_FAILED', detail: /ENOENT.*setup\.log/s });
  });

  test(`a setup that hangs is ended with all that it started, by its time and by an abort ${how}`, async (t) => {
    const { runtime, place, directory } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('setup-hangs');
    await assert.rejects(runtime.setUp(spec, signal), {
      code: 'SETUP_TIMED_OUT',
      message: 'The setup command did not end within 4 s.',
      detail: 'waiting for something that never comes',
    });
    await runtime.close();
    assert.deepEqual(processesMentioning(directory), []);
    for (const isBegun of [false, true]) {
      const controller = new AbortController();
      const reason = new Error('superseded');
      const setUp = runtime.setUp(spec, controller.signal);
      if (isBegun) await waitUntil('it runs', () => processesMentioning(`${spec.name}@`).length > 0);
      controller.abort(reason);
      await assert.rejects(setUp, (error) => error === reason);
      assert.deepEqual(processesMentioning(`${spec.name}@`), []);
    }
  });

  test(`several services have ports of their own, and one that ignores HOST is reached too ${how}`, async (t) => {
    const { runtime, place } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('two-services');
    const next = await place('two-services');
    await Promise.all([spec, next].map((each) => runtime.start(each, signal)));
    for (const each of [spec, next]) {
      await healthy(runtime, each);
      assert.equal(await get(runtime, each, '/x', '3000'), 'web /x\n');
      assert.equal(await get(runtime, each, '/y', '4000'), 'api /y\n');
    }
    const worker = (await linesOf(runtime, spec)).find((line) => line.source === 'worker');
    assert.equal(worker?.text, 'working, with PORT undefined');
  });

  test(`an aborted start leaves nothing running ${how}`, async (t) => {
    const { runtime, place } = await aProcessRuntime(t, { useBubblewrap });
    const spec = await place('hello-node');
    const controller = new AbortController();
    const reason = new Error('superseded');
    const started = runtime.start(spec, controller.signal);
    setImmediate(() => controller.abort(reason));
    await started.catch((error) => assert.equal(error, reason));
    if (controller.signal.aborted && (await runtime.observe(spec.name))?.running === true) return;
    assert.deepEqual(processesMentioning(`${spec.name}@`), []);
  });

  test(`starting twice at once is starting once ${how}`, async (t) => {
    const { runtime, place, make } = await aProcessRuntime(t, { useBubblewrap });
    const other = await make();
    const spec = await place('hello-node');
    await Promise.all([runtime, runtime, other].map((each) => each.start(spec, signal)));
    await healthy(runtime, spec);
    // The one that came too late goes when it sees that.
    const supervisors = () =>
      processesMentioning('supervisor.ts').filter((each) => each.includes(`${spec.name}/run.json`));
    await waitUntil('one supervisor is left', () => supervisors().length === 1);
    await runtime.start(spec, signal);
    assert.equal((await linesOf(runtime, spec)).length, 1);
  });
}

test('where somebody else listens on a service’s address, nothing is started: a stranger’s answer must not pass for the app’s', async (t) => {
  const { runtime, place } = await aProcessRuntime(t);
  const spec = await place('hello-node');
  const upstream = runtime.upstreamsOf(spec)['3000'];
  assert.ok(upstream !== undefined);
  const stranger = createServer((_request, response) => response.end('not the app')).listen(
    upstream.port,
    upstream.address,
  );
  await once(stranger, 'listening');
  t.after(() => stranger.close());
  await assert.rejects(runtime.start(spec, signal), { code: 'RUNTIME_FAILED', message: /Something else listens on/ });
  assert.equal((await runtime.observe(spec.name))?.running, false);
});
