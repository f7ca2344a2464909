import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { openAppDatabases } from '../../../webhook/adapters/postgres/app-databases.ts';
import { databaseNameOf, parseSlug } from '../../../webhook/core/names.ts';
import type { InstanceSpec } from '../../../webhook/ports.ts';
import {
  anInstance,
  answerOf,
  aRuntime,
  bringUp,
  eventually,
  host,
  hostd,
  startHostd,
  webApp,
} from './a-host-runtime.ts';
import { elsewhere, internet, openWorld, probe, worldPorts } from './a-world.ts';
import { silentLog } from '../../support/silent-log.ts';

const runtime = aRuntime();
let world: ChildProcess[] = [];
before(async () => {
  world = await openWorld();
  startHostd();
});
after(() => {
  for (const each of world) each.kill();
  host('systemctl', 'stop', 'berth-hostd');
});

/** Runs a program in the container, as its own systemd starts one, and returns what it printed. */
function inside(spec: InstanceSpec, ...argv: string[]): string {
  const flags = ['--quiet', '--pipe', '--wait', '--collect', '--property=LimitNOFILE=100000'];
  return host('systemd-run', '-M', spec.name, ...flags, '--', ...argv);
}

interface Probe {
  readonly tcp?: readonly (readonly [string, number, number])[];
  readonly udp?: readonly (readonly [string, number, number])[];
  readonly from?: string;
}

/** What a process inside the container gets an answer from. */
function reachedFrom(spec: InstanceSpec, targets: Probe): { tried: number; reached: string[] } {
  const output = inside(spec, '/usr/local/bin/node', '/home/preview/app/probe.js', JSON.stringify(targets));
  const result = JSON.parse(output) as { tried: number; reached: string[] };
  return { ...result, reached: [...new Set(result.reached)].toSorted() };
}

async function twoInstances(slots: [number, number]): Promise<[InstanceSpec, InstanceSpec]> {
  const files = { ...webApp('hello'), 'probe.js': probe };
  const [a, b] = [await anInstance(runtime, slots[0], { files }), await anInstance(runtime, slots[1], { files })];
  await Promise.all([bringUp(runtime, a), bringUp(runtime, b)]);
  await Promise.all([a, b].map((spec) => answerOf(`http://${spec.addresses.instance}:3000/`)));
  return [a, b];
}

const everyPort = (address: string) => [address, 1, 65_535] as const;
const onePort = (address: string, port: number) => [address, port, port] as const;

test('S1: a container reaches its own database, the resolver and allowed ports of the internet, and nothing else', async () => {
  const [a, b] = await twoInstances([20, 21]);
  const own = a.addresses.host;
  const allowed = reachedFrom(a, {
    tcp: [onePort(own, 5432), onePort(internet, 80), onePort(internet, 443), onePort(own, 53)],
    udp: [onePort(own, 53)],
  });
  assert.deepEqual(
    allowed.reached,
    [
      `${own}:53 open`,
      `${own}:53/udp answer`,
      `${own}:5432 open`,
      `${internet}:443 open`,
      `${internet}:80 open`,
    ].toSorted(),
  );

  const hostAddress = readFileSync('/etc/test-host.env', 'utf8').match(/HOST_ADDRESS=(.*)/)?.[1] ?? '';
  const forbidden = reachedFrom(a, {
    tcp: [
      everyPort(own),
      everyPort(hostAddress),
      ...['10.100.0.1', b.addresses.host, b.addresses.instance, '198.51.100.1', '127.0.0.2', '10.101.0.1'].flatMap(
        (address) => [22, 53, 80, 3000, 5432, 8080].map((port) => onePort(address, port)),
      ),
      ...elsewhere.flatMap((address) => worldPorts.map((port) => onePort(address, port))),
      ...worldPorts.filter((port) => port !== 80 && port !== 443).map((port) => onePort(internet, port)),
    ],
    udp: [[own, 100, 300], onePort(hostAddress, 53), onePort(internet, 53), onePort(b.addresses.host, 53)],
  });
  // Its own loopback refuses, and these three are the ones that it may ask; all others are forbidden.
  const permitted = [`${own}:53 open`, `${own}:5432 open`, '10.100.0.1:53 open'];
  const unexpected = forbidden.reached.filter((line) => !line.startsWith('127.0.0.2:') && !permitted.includes(line));
  const tried = forbidden.tried - 6 - permitted.length;
  assert.deepEqual(unexpected, [], `${unexpected.length} of ${tried} reached`);
  console.log(
    `S1: ${unexpected.length} of ${tried} forbidden TCP targets reached; ${allowed.reached.length} of 5 allowed`,
  );

  await getsNowhereByIPv6(a);
  await spoofing(a, b);
  await Promise.all([a, b].map((spec) => runtime.remove(spec.name)));
});

/** The link has link-local addresses of IPv6 by itself; nothing of that family gets anywhere. */
async function getsNowhereByIPv6(spec: InstanceSpec): Promise<void> {
  const address = /inet6 (fe80:[0-9a-f:]+)/.exec(host('ip', '-6', 'address', 'show', 'dev', `ve-${spec.name}`))?.[1];
  if (address === undefined) return console.log('S1: this machine has no IPv6, so nothing was tried by it');
  const ports = [22, 53, 80, 5432].map((port) => onePort(`${address}%eth0`, port));
  assert.deepEqual(reachedFrom(spec, { tcp: ports }).reached, []);
}

/** S2: root of the guest may give its link any address; the host takes only the one that belongs to the link. */
async function spoofing(a: InstanceSpec, b: InstanceSpec): Promise<void> {
  for (const stolen of ['10.100.9.9', b.addresses.instance]) {
    inside(a, '/usr/sbin/ip', 'address', 'add', `${stolen}/32`, 'dev', 'eth0');
    const { reached } = reachedFrom(a, {
      from: stolen,
      tcp: [onePort(a.addresses.host, 5432), onePort(internet, 443)],
    });
    assert.deepEqual(reached, []);
  }
  assert.equal(
    reachedFrom(a, { tcp: [onePort(a.addresses.host, 5432)] }).reached.length,
    1,
    'its own address still works',
  );
}

test('the rules come back by themselves after somebody has flushed them, and hold while hostd is away', async () => {
  const [a, b] = await twoInstances([22, 23]);
  const targets = {
    tcp: [onePort(b.addresses.instance, 3000), onePort(a.addresses.host, 22), onePort(a.addresses.host, 5432)],
  };
  const expected = [`${a.addresses.host}:5432 open`];
  assert.deepEqual(reachedFrom(a, targets).reached, expected);
  host('nft', 'flush', 'ruleset');
  await eventually(() => host('nft', 'list', 'tables').includes('table inet berth\n'), 'the table is back');
  await eventually(
    () => host('nft', 'list', 'map', 'inet', 'berth', 'own_addresses').includes(a.addresses.instance),
    'its element is back',
  );
  assert.deepEqual(reachedFrom(a, targets).reached, expected);
  host('systemctl', 'stop', 'berth-hostd');
  assert.deepEqual(reachedFrom(a, targets).reached, expected);
  startHostd();
  assert.deepEqual(reachedFrom(a, targets).reached, expected);
  await Promise.all([a, b].map((spec) => runtime.remove(spec.name)));
});

test('an app reaches the database of its preview with the URL it is given, and no other', async () => {
  const databases = await openAppDatabases({
    url: 'postgresql://postgres@/postgres?host=/run/postgresql',
    appHost: null,
    appPort: 5432,
    log: silentLog,
  });
  const slug = (text: string) => parseSlug(text) ?? assert.fail();
  const mine = { name: databaseNameOf(slug('mine-1')), password: 'a'.repeat(24) };
  const other = { name: databaseNameOf(slug('other-1')), password: 'b'.repeat(24) };
  await databases.ensure(mine);
  await databases.ensure(other);
  const addresses = runtime.addressesOf(24);
  const spec = await anInstance(runtime, 24, { environment: { DATABASE_URL: databases.urlOf(mine, addresses) } });
  await bringUp(runtime, spec);
  const psql = (url: string) => inside(spec, '/usr/bin/psql', url, '-XAtc', 'select current_user');
  assert.equal(psql(databases.urlOf(mine, addresses)), mine.name);
  for (const name of [other.name, 'postgres', 'template1', 'berth']) {
    assert.throws(
      () => psql(databases.urlOf(mine, addresses).replace(/\/[^/]*$/, `/${name}`)),
      /rejects|denied|no pg_hba/,
      name,
    );
  }
  await databases.remove(mine.name);
  await databases.remove(other.name);
  await databases.close();
  await runtime.remove(spec.name);
});

test('a switch moves new connections at once and leaves open ones where they are; nothing is lost', async () => {
  const [a, b] = await Promise.all([
    anInstance(runtime, 25, { files: webApp('a') }),
    anInstance(runtime, 26, { files: webApp('b') }),
  ]);
  await Promise.all([a, b].map((spec) => bringUp(runtime, spec)));
  await Promise.all([a, b].map((spec) => answerOf(`http://${spec.addresses.instance}:3000/`)));
  const address = '10.101.0.1';
  const url = `http://${address}:3000/`;
  await assert.rejects(fetch(url), 'nobody answers yet, and at once');
  await hostd.ask({ verb: 'switch-answers', address, to: { name: a.name, ports: [3000] } });
  assert.equal(await answerOf(url), 'a');
  assert.deepEqual(await hostd.ask({ verb: 'list-answers' }), [{ address, name: a.name, ports: [3000] }]);

  const times: number[] = [];
  const switching = new AbortController();
  let asked = 0;
  let failed = 0;
  const load = Array.from({ length: 8 }, async () => {
    while (!switching.signal.aborted) {
      asked += 1;
      // Connection: close, as Caddy asks an instance: each request is a connection of its own.
      await fetch(url, { headers: { connection: 'close' } })
        .then((response) => response.text())
        .catch(() => (failed += 1));
    }
  });
  try {
    for (let round = 0; round < 50; round += 1) {
      const to = round % 2 === 0 ? b : a;
      const began = performance.now();
      await hostd.ask({ verb: 'switch-answers', address, to: { name: to.name, ports: [3000] } });
      times.push(performance.now() - began);
      assert.equal(await answerOf(url), to === a ? 'a' : 'b');
    }
  } finally {
    switching.abort();
    await Promise.all(load);
  }
  times.sort((x, y) => x - y);
  console.log(`50 switches under load: ${failed} of ${asked} requests failed; switch p50 ${times[25]?.toFixed(1)} ms`);
  assert.equal(failed, 0, `${failed} of ${asked}`);

  // hostd's copy of the answers is read back from the kernel.
  host('systemctl', 'restart', 'berth-hostd');
  startHostd();
  assert.deepEqual(await hostd.ask({ verb: 'list-answers' }), [{ address, name: a.name, ports: [3000] }]);
  assert.equal(await answerOf(url), 'a');
  await Promise.all([a, b].map((spec) => runtime.remove(spec.name)));
  assert.deepEqual(await hostd.ask({ verb: 'list-answers' }), []);
});
