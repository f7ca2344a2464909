import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { openRouteFiles } from '../../../../webhook/adapters/gateway/route-files.ts';
import type { PreviewRoute } from '../../../../webhook/core/preview-route.ts';
import { aGateway, aLog, aNamedApp, aRoute, ask, slug } from '../../../support/a-gateway.ts';

function aDirectory(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'berth-routes-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

/** A process of its own that saves `second` over `first` and is killed with SIGKILL at the given call. */
function killedSaving(directory: string, first: PreviewRoute, second: PreviewRoute, call: string): void {
  const routeFiles = resolve(import.meta.dirname, '../../../../webhook/adapters/gateway/route-files.ts');
  const program = `
    import { syncBuiltinESMExports } from 'node:module';
    import fs from 'node:fs/promises';
    import { openRouteFiles } from ${JSON.stringify(routeFiles)};
    const log = { debug() {}, info() {}, warn() {}, error() {}, child() { return log; } };
    const files = await openRouteFiles(${JSON.stringify(directory)}, log);
    await files.save(${JSON.stringify(first)});
    const die = async () => { process.kill(process.pid, 'SIGKILL'); await new Promise(() => setInterval(() => {}, 1000)); };
    if (${JSON.stringify(call)} === 'rename') { fs.rename = die; syncBuiltinESMExports(); }
    else {
      const handle = await fs.open('/dev/null');
      const prototype = Object.getPrototypeOf(handle);
      const { writeFile } = prototype;
      if (${JSON.stringify(call)} === 'half') prototype.writeFile = async function (text) {
        await writeFile.call(this, text.slice(0, text.length / 2)); await die(); };
      else prototype[${JSON.stringify(call)}] = die;
    }
    await files.save(${JSON.stringify(second)});
  `;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  assert.equal(run.signal, 'SIGKILL', run.stderr);
}

void test('a process killed at any call of a save leaves the old route whole', async () => {
  const [first, second] = [1_111, 2_222].map((port) => aRoute('shop-42', { ports: { 3000: port } }));
  assert.ok(first !== undefined && second !== undefined);
  for (const call of ['writeFile', 'half', 'sync', 'rename']) {
    using directory = aDirectory();
    killedSaving(directory.path, first, second, call);
    assert.deepEqual(readdirSync(directory.path).toSorted(), ['shop-42.json', 'shop-42.json.unfinished'], call);
    const log = aLog();
    await using files = await openRouteFiles(directory.path, log);
    assert.deepEqual(await files.loadAll(), [first], call);
    assert.deepEqual(readdirSync(directory.path), ['shop-42.json'], call);
    assert.deepEqual(log.lines, []);
    await files.save(second);
    assert.deepEqual(await files.loadAll(), [second], call);
  }
});

void test('whatever is in a route file, the gateway starts and serves the others', async () => {
  await using app = await aNamedApp('fine');
  using directory = aDirectory();
  const good = aRoute('good-1', { ports: { 3000: app.port } });
  const bad = aRoute('bad-2', { ports: { 3000: app.port } });
  const text = JSON.stringify(bad);
  const damages: (string | Buffer)[] = [
    '',
    '{',
    'null',
    '[]',
    '{}',
    text.slice(0, -1),
    text.replace('bad-2', 'bad-3'),
    text.replaceAll('bad-2', 'good-1'),
    text.replace('127.0.0.1', 'example.com'),
    text.replace('127.0.0.1', '127.0.0.1/x'),
    text.replace('"p1"', '"../p1"'),
    text.replace('"path":"/"', '"path":"/{x}"'),
    text.replace('"label":"bad-2"', '"label":"good-1"'),
    text.replace('"slug"', '"extra":1,"slug"'),
    text.replace('"stripPrefix":false', '"stripPrefix":"no"'),
    Buffer.alloc(3_000),
    Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  ];
  for (const damage of damages) {
    writeFileSync(join(directory.path, 'good-1.json'), JSON.stringify(good));
    writeFileSync(join(directory.path, 'bad-2.json'), damage);
    await using door = await aGateway({ directory: directory.path });
    assert.equal((await ask(door.gateway.port, 'good-1.localhost')).body, 'fine');
    assert.deepEqual(await door.gateway.list(), [good], damage.toString('utf8').slice(0, 200));
    assert.deepEqual(readdirSync(directory.path).toSorted(), ['bad-2.json.damaged', 'good-1.json']);
    assert.equal(door.log.lines.filter((line) => line.level === 'error').length, 1);
    await door.gateway.ensure(bad);
    assert.equal((await ask(door.gateway.port, 'bad-2.localhost')).body, 'fine');
    rmSync(join(directory.path, 'bad-2.json.damaged'));
  }
});

void test('any flipped byte of a route file is found or changes nothing that was promised to others', async () => {
  using directory = aDirectory();
  const route = aRoute('shop-42', { ports: { 3000: 1_234 }, extraHosts: { admin: [{}] } });
  const log = aLog();
  await using files = await openRouteFiles(directory.path, log);
  await files.save(route);
  const path = join(directory.path, 'shop-42.json');
  const whole = readFileSync(path);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ change;
      writeFileSync(path, flipped);
      for (const loaded of await files.loadAll()) {
        assert.equal(loaded.slug, slug('shop-42'));
        for (const host of loaded.hosts) assert.match(host.label, /^(?:[a-z0-9][a-z0-9-]*-)?shop-42$/);
      }
    }),
    { numRuns: 500 },
  );
});
