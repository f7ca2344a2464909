/**
 * A preview-config.nix has no power (promise S8): hostile expressions against the real Nix in the real unit that evaluates them, with files, an
 * environment and listeners that must not be met; and one that is honest lives like any other preview.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { closuresIn } from '../../../webhook/adapters/runtimes/nixos-container/closures.ts';
import { localShell } from '../../../webhook/adapters/shell/local-shell.ts';
import { OperatorError } from '../../../webhook/core/errors.ts';
import type { HostDaemon } from '../../../webhook/core/host-verbs.ts';
import { manifestFromMeta } from '../../../webhook/core/preview-config.ts';
import { evaluateConfig } from '../../../webhook/hostd/evaluation.ts';
import {
  anInstance,
  answerOf,
  aRuntime,
  bringUp,
  eventually,
  host,
  hostd,
  noAbort,
  startHostd,
  webApp,
} from './a-host-runtime.ts';
import { hostileConfigs, honestConfig } from './a-preview-config.ts';

const canary = 'canary-8f1b6d0c9a7e4f35b2a1';
const evaluation = {
  guest: resolve(import.meta.dirname, '../guest'),
  timeoutMs: 5_000,
  memoryMiB: 512,
  allowOldNix: true,
};

/** The verb alone, with bounds that a test can wait for. */
const evaluating = {
  ask: (request: { config: string }) => evaluateConfig(evaluation, request.config, noAbort),
} as unknown as HostDaemon;
const closures = closuresIn(
  { guest: evaluation.guest, roots: '/var/lib/berth/closures' },
  { shell: localShell({ path: '/usr/local/bin:/usr/bin:/bin', home: '/var/lib/berth' }), hostd: evaluating },
);

async function buildOf(config: string): Promise<string> {
  const { meta } = await closures.evaluate(config, noAbort);
  return (await closures.ensure(manifestFromMeta(meta, config), noAbort)).path;
}

let connections = 0;
const listeners: Server[] = [];
const ports: number[] = [];

before(async () => {
  startHostd();
  mkdirSync('/var/secrets', { recursive: true });
  writeFileSync('/var/secrets/canary', canary, { mode: 0o644 });
  writeFileSync('/etc/canary.nix', `"${canary}"`, { mode: 0o644 });
  process.env['BERTH_CANARY'] = canary;
  // A metadata service as clouds have it, and the address by which the LAN knows this host.
  host('ip', 'address', 'add', '169.254.169.254/32', 'dev', 'lo');
  for (const address of ['127.0.0.1', '169.254.169.254', '0.0.0.0']) {
    const server = createServer((socket) => {
      connections += 1;
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${canary.length}\r\n\r\n${canary}`);
    });
    server.listen(0, address);
    await new Promise((listening) => server.once('listening', listening));
    listeners.push(server);
    const bound = server.address();
    ports.push(typeof bound === 'object' && bound !== null ? bound.port : 0);
  }
});
after(() => {
  for (const server of listeners) server.close();
  host('ip', 'address', 'delete', '169.254.169.254/32', 'dev', 'lo');
  host('systemctl', 'stop', 'berth-hostd');
});

test('S8: no hostile expression reads a file or the environment, reaches a listener, builds, or goes on for ever', async (t) => {
  // The control: the listener is there for whoever may reach it, and counts.
  assert.equal(await (await fetch(`http://127.0.0.1:${ports[0]}/`)).text(), canary);
  assert.equal(connections, 1);
  connections = 0;
  const lan = host('hostname', '-I').split(' ')[0] ?? '127.0.0.1';
  const urls = [`http://127.0.0.1:${ports[0]}`, `http://169.254.169.254:${ports[1]}`, `http://${lan}:${ports[2]}`];
  const table = hostileConfigs(urls);
  assert.ok(table.length >= 60, `${table.length} expressions`);
  const storeBefore = readdirSync('/nix/store').length;
  let slowest = { name: '', ms: 0 };
  for (const { name, config, expect } of table) {
    const startedAt = performance.now();
    const outcome = await buildOf(config).then(
      (path) => ({ code: 'ACCEPTED', text: path }),
      (error: unknown) => {
        if (!(error instanceof OperatorError)) throw error;
        return { code: error.code, text: `${error.message}\n${error.detail ?? ''}` };
      },
    );
    const ms = performance.now() - startedAt;
    if (ms > slowest.ms) slowest = { name, ms };
    const got = `${outcome.code} ${/\(([a-z-]+)\)/.exec(outcome.text)?.[1] ?? ''}`.trim();
    assert.match(got, expect, `${name}: ${got}: ${outcome.text.slice(0, 1_000)}`);
    assert.equal(outcome.text.includes(canary), false, `${name} got hold of the canary`);
    assert.ok(ms < evaluation.timeoutMs + 15_000, `${name} took ${Math.round(ms)} ms`);
    assert.equal(connections, 0, `${name} reached a listener`);
  }
  t.diagnostic(
    `${table.length} of ${table.length} refused, 0 canaries, 0 connections, slowest ${slowest.name}: ${Math.round(slowest.ms)} ms`,
  );
  console.log(
    `S8: ${table.length} of ${table.length} refused, 0 canaries, 0 connections; slowest ${slowest.name}: ${Math.round(slowest.ms)} ms`,
  );
  assert.ok(
    readdirSync('/nix/store').length - storeBefore < table.length * 3,
    'evaluations write to a store of their own',
  );
  assert.deepEqual(readdirSync('/run/berth-hostd/evaluations'), [], 'nothing is left of an evaluation');
  assert.equal(host('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'berth-evaluation-*'), '');
});

test('an app with a system of its own comes up: setup once, its services, its logs; the same text is evaluated once', async () => {
  const runtime = aRuntime();
  const config = honestConfig('echo built >built', 'cat built; exec node server.js');
  const meta = await runtime.readConfig(config, noAbort);
  assert.deepEqual(meta.appServices, ['preview-app']);
  const startedAt = performance.now();
  assert.deepEqual(await runtime.readConfig(config, noAbort), meta);
  console.log(`the second look at the same preview-config.nix took ${Math.round(performance.now() - startedAt)} ms`);
  const spec = await anInstance(runtime, 41, {
    manifest: manifestFromMeta(meta, config),
    files: webApp('my own NixOS'),
  });
  await bringUp(runtime, spec);
  assert.equal(await answerOf(`http://${spec.addresses.instance}:3000/`), 'my own NixOS');
  assert.deepEqual((await runtime.observe(spec.name, { services: true }))?.services, [
    { name: 'preview-app', state: 'running', restarts: 0 },
  ]);
  const lines = await Array.fromAsync(
    runtime.logs(spec.name, { follow: false, tailLines: 100, signal: noAbort }),
    (line) => `${line.source}: ${line.text}`,
  );
  assert.ok(lines.includes('preview-app: built'), lines.join('\n'));
  await runtime.remove(spec.name);
});

test('hostd refuses a Nix with known holes, and says which one is needed', async () => {
  await assert.rejects(evaluateConfig({ ...evaluation, allowOldNix: false }, honestConfig(), noAbort), {
    code: 'CONFIG_REFUSED',
    message: /old-nix.*2\.28\.7/s,
  });
});

test('an evaluation ends with whoever asked for it', async () => {
  const asked = new AbortController();
  const { config } =
    hostileConfigs(['', '', '']).find((each) => each.name === 'a pattern that backtracks for ever') ?? assert.fail();
  const evaluating = hostd.ask({ verb: 'evaluate-config', config }, { signal: asked.signal });
  const units = () => host('systemctl', 'list-units', '--plain', '--no-legend', 'berth-evaluation-*');
  await eventually(() => units() !== '', 'the evaluation runs');
  asked.abort(new OperatorError('SUPERSEDED', 'gone'));
  await assert.rejects(evaluating, { code: 'SUPERSEDED' });
  await eventually(() => units() === '', 'the evaluation has ended');
});
