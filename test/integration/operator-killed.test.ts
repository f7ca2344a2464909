/** Promise R1, R7, R8: the operator is killed while previews run and in the middle of a setup; nothing is lost, built again or left behind. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { appFiles, aRealService, type RealService } from '../support/a-real-service.ts';
import { waitUntil } from '../support/wait-until.ts';

let service: RealService;
before(async () => {
  service = await aRealService();
});
after(() => service[Symbol.asyncDispose]());

/** Says which build and which process it is: both stay the same for as long as neither is made anew. */
const STAMPED = {
  ...appFiles('hello-node'),
  'setup.js': `import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
writeFileSync('built.txt', randomUUID());
`,
  'server.js': `import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
const { PORT, HOST, PREVIEW_COMMIT } = process.env;
const said = [PREVIEW_COMMIT, readFileSync('built.txt', 'utf8'), randomUUID()].join(' ');
createServer((_, response) => response.end(said)).listen(Number(PORT), HOST);
`,
};

/** Like a build that takes its time: it goes on for as long as the file that only a later commit has is missing. */
const WAITING_SETUP = `import { existsSync, writeFileSync } from 'node:fs';
console.log('setup begins');
writeFileSync('built.txt', 'at once');
if (!existsSync('go.txt')) setTimeout(() => console.log('setup ends'), 20_000);
`;

test('kill -9 and a new start: same processes, no new setup, the work in hand is done, nothing is left', async () => {
  const { operator } = service;
  const [steady, building] = await Promise.all([
    service.open('steady', STAMPED),
    service.open('building', { ...STAMPED, 'setup.js': WAITING_SETUP }),
  ]);
  const before = (await service.shows(steady, steady.head)).body;
  const isSettingUp = async () => (await service.preview('logs', 'building-1')).stdout.includes('setup begins');
  await waitUntil('the setup runs', isSettingUp, 60_000);
  const pids = supervisorsNow();
  assert.equal(pids.length, 1);

  await operator.kill();
  assert.equal((await service.get(steady)).status, 0, 'the gateway went with it');
  await operator.start();
  const afterwards = (await service.shows(steady, steady.head)).body;
  assert.equal(afterwards, before, 'same build, same process');
  assert.ok(
    pids.every((pid) => supervisorsNow().includes(pid)),
    'the supervisor was not touched',
  );

  // What was in the middle of its setup gives way to a newer commit, which the one killed never heard of.
  await building.push({ 'go.txt': '' });
  await service.shows(building, building.head);
  await service.says(building, 'is live', building.head);

  // And an update of what survived goes on as if nothing had been.
  await steady.push({ 'message.txt': 'Second' });
  await service.shows(steady, steady.head);
  await service.closeAll();
});

test('a delivery that was answered 202 is worked off by the next operator', async () => {
  const pull = await service.open('promised', STAMPED);
  await service.operator.kill();
  assert.deepEqual(service.github.deliveries.all.at(-1)?.status, 202);
  await service.operator.start();
  await service.shows(pull, pull.head);
  await service.says(pull, 'is live', pull.head);
});

test('a stop and a start: previews go on, and are updated afterwards', async () => {
  const pull = await service.open('stopped', STAMPED);
  const before = (await service.shows(pull, pull.head)).body;
  await service.operator.stop();
  await service.operator.start();
  assert.equal((await service.shows(pull, pull.head)).body, before);
  await pull.push({ 'message.txt': 'Second' });
  await service.shows(pull, pull.head);
});

for (const end of ['kill', 'stop'] as const)
  test(`a setup that a ${end} cut off is begun again on files and a home as they were at first`, async () => {
    const asked: ServerResponse[] = [];
    const gate = createServer((_, response) => asked.push(response)).listen(0, '127.0.0.1');
    await once(gate, 'listening');
    try {
      const { port } = gate.address() as AddressInfo;
      const pull = await service.open(`begun-${end}`, {
        ...STAMPED,
        // It gets through once, and not before it is told to.
        'preview.toml': (appFiles('hello-node')['preview.toml'] ?? '').replace(
          /\[setup\][^[]*/,
          `[setup]\ncommand = "mkdir dist ~/cache && node wait.js && node setup.js"\n\n`,
        ),
        'wait.js': `await fetch('http://127.0.0.1:${port}/');\n`,
      });
      await waitUntil('the setup is in the middle', () => asked.length === 1, 60_000);
      await service.operator[end]();
      await service.operator.start();
      await waitUntil('it is begun again', () => asked.length === 2, 60_000);
      asked[1]?.end();
      await service.shows(pull, pull.head);
      await service.says(pull, 'is live', pull.head);
      await pull.close();
    } finally {
      gate.closeAllConnections();
      gate.close();
    }
  });

const instances = () => join(service.operator.stateDirectory, 'instances');

function supervisorsNow(): string[] {
  return readdirSync('/proc').filter(
    (pid) => /^\d+$/.test(pid) && wordsOf(pid).includes(`${instances()}/`) && wordsOf(pid).includes('supervisor.ts'),
  );
}

function wordsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
