import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostRequestSchema } from '../../../webhook/core/host-verbs.ts';
import { admitScript, answersScript, forgetScript, switchScript } from '../../../webhook/hostd/ruleset.ts';
import { settingsFrom } from '../../../webhook/hostd/settings.ts';

const ids = ['--operator-uid=970', '--operator-gid=970'];

test('hostd refuses to start with an option that is missing, unknown or unusable, and names it', () => {
  assert.equal(settingsFrom(ids).pool.cidr, '10.100.0.0/16');
  const wrong: [string[], RegExp][] = [
    [[], /--operator-uid must be a number/],
    [['--operator-uid=0', '--operator-gid=970'], /--operator-uid/],
    [['--operator-uid=9x', '--operator-gid=970'], /--operator-uid/],
    [[...ids, '--pool=10.100.0.1/16'], /--pool must be an IPv4 network/],
    [[...ids, '--preview-pool=10.100.8.0/24'], /overlap/],
    [[...ids, '--sockets=/run/x'], /sockets/],
  ];
  for (const [argv, message] of wrong) assert.throws(() => settingsFrom(argv), message, argv.join(' '));
});

test('a request holds names and numbers of ours, never a path, a flag or a command', () => {
  const good = [
    { verb: 'list-containers' },
    { verb: 'start-container', name: 'p142' },
    { verb: 'switch-answers', address: '10.101.0.5', to: { name: 'p7', ports: [3000] } },
    { verb: 'start-unit', name: 'p7', unit: 'setup-preview.service' },
  ];
  for (const request of good) assert.equal(hostRequestSchema.safeParse(request).success, true, JSON.stringify(request));
  const store = '/nix/store/93rc07q2rsgkh8brhnhi1xwfmq7rmxdf-preview-system';
  const create = {
    verb: 'create-container',
    name: 'p1',
    system: store,
    environment: {},
    limits: { memoryMiB: 64, cpuPercent: 5, tasks: 16, diskMiB: 64 },
    units: null,
  };
  assert.equal(hostRequestSchema.safeParse(create).success, true);
  const bad = [
    { ...create, system: `${store}/../../etc` },
    { ...create, system: `${store} --option` },
    { ...create, environment: { LD_PRELOAD: 'x' } },
    { ...create, environment: { PATH: 'x' } },
    { ...create, environment: { PREVIEW_X: 'a\0b' } },
    { ...create, limits: { ...create.limits, memoryMiB: 1e9 } },
    { ...create, limits: { ...create.limits, diskMiB: 1 } },
    { verb: 'start-container', name: 'p01' },
    { verb: 'start-container', name: 'p1/../p2' },
    { verb: 'start-container', name: '--help' },
    { verb: 'start-container', name: 'p1', force: true },
    { verb: 'start-unit', name: 'p1', unit: 'sshd.service' },
    { verb: 'switch-answers', address: '10.101.0.5; flush ruleset', to: null },
    { verb: 'switch-answers', address: '10.101.0.5', to: { name: 'p1', ports: ['3000 }'] } },
  ];
  for (const request of bad) assert.equal(hostRequestSchema.safeParse(request).success, false, JSON.stringify(request));
});

test('scripts for nftables', () => {
  const instance = { link: 've-p5', addresses: { host: '10.100.0.10', instance: '10.100.0.11' } };
  const admitted =
    'add element inet berth own_addresses { "ve-p5" . 10.100.0.11 : accept }\nadd element inet berth own_gateway { "ve-p5" . 10.100.0.10 }\n';
  assert.equal(admitScript(instance), admitted);
  assert.ok(forgetScript(instance).startsWith(admitted));
  assert.match(forgetScript(instance), /delete element inet berth own_addresses \{ "ve-p5" \. 10\.100\.0\.11 \}/);
  const to = (address: string) => ({ address: '10.101.0.5', port: 3000, to: { address, port: 3000 } });
  assert.equal(
    switchScript([to('10.100.0.11')], [to('10.100.0.13')]),
    'delete element inet berth_answers answers { 10.101.0.5 . 3000 }\nadd element inet berth_answers answers { 10.101.0.5 . 3000 : 10.100.0.13 . 3000 }\n',
  );
  assert.match(answersScript('10.101.0.0/16', [to('10.100.0.11')]), /dnat ip to ip daddr \. tcp dport map @answers/);
});
