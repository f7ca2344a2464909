/** Promise S6, and what of S7 lies in a container's files: root of a container is nobody on the host. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync, mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { aRuntime, anInstance, answerOf, bringUp, host, startHostd, webApp } from './a-host-runtime.ts';
import { abstractSocket, canaryPath, escapeKit, type Attempt } from './an-escape-kit.ts';

const runtime = aRuntime();
const canary = randomBytes(16).toString('hex');
let listener: ChildProcess;
before(async () => {
  startHostd();
  writeFileSync(canaryPath, canary, { mode: 0o600 });
  listener = spawn('perl', [
    '-MIO::Socket::UNIX',
    '-e',
    `$| = 1; my $s = IO::Socket::UNIX->new(Local => "\\0${abstractSocket}", Listen => 5) or die; print "up"; $s->accept while 1`,
  ]);
  await once(listener.stdout ?? assert.fail(), 'data');
});
after(() => {
  listener.kill();
  host('systemctl', 'stop', 'berth-hostd');
});

interface Outcome {
  readonly name: string;
  readonly status: number | null;
  readonly said: string;
}

/** Runs each attempt of the list on its stdin. */
const attempter = `
const { spawnSync } = require('node:child_process');
const outcomes = JSON.parse(require('node:fs').readFileSync(0, 'utf8')).map(({ name, command }) => {
  const { status, stdout, stderr } = spawnSync('/bin/bash', ['-c', command], { encoding: 'utf8', timeout: 10000 });
  return { name, status, said: (stderr + stdout).trim().slice(0, 200) };
});
console.log(JSON.stringify(outcomes));
`;

function outcomesOf(argv: readonly [string, ...string[]], attempts: readonly Attempt[]): Outcome[] {
  const [program, ...words] = argv;
  const run = spawnSync(program, words, { input: JSON.stringify(attempts), encoding: 'utf8', timeout: 120_000 });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout) as Outcome[];
}

/** What the host would show if one of them had worked behind its back. */
const hostState = () => ({
  canary: readFileSync(canaryPath, 'utf8'),
  name: host('hostname'),
  boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'),
  pidOne: statSync('/proc/1').ctimeMs,
  corePattern: readFileSync('/proc/sys/kernel/core_pattern', 'utf8'),
  units: host('systemctl', 'is-active', 'berth-hostd', 'caddy', 'postgresql', 'nix-daemon.socket'),
});

test('S6: none of the attempts of root of a container succeeds; those of root of the host do', async () => {
  const spec = await anInstance(runtime, 40, { files: { ...webApp('hello'), 'attempter.js': attempter } });
  await bringUp(runtime, spec);
  const stateBefore = hostState();
  const path = '/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin';
  const asRoot = ['--quiet', '--pipe', '--wait', '--collect', `--setenv=PATH=${path}`, '--', '/usr/local/bin/node'];
  const outcomes = outcomesOf(
    ['systemd-run', '-M', spec.name, ...asRoot, '/home/preview/app/attempter.js'],
    [...escapeKit, { name: 'control', command: 'test "$(id -u)" = 0' }],
  );
  const control = outcomes.pop();
  assert.equal(control?.status, 0, 'the attempts are made by root, and a line that succeeds counts as success');
  if (process.env['BERTH_SHOW'] !== undefined)
    for (const { name, status, said } of outcomes) console.log(`${String(status)} ${name}: ${said}`);
  const succeeded = outcomes.filter(({ status }) => status === 0);
  assert.deepEqual(succeeded, []);
  assert.deepEqual(hostState(), stateBefore);
  assert.equal(await answerOf(`http://${spec.addresses.instance}:3000/`), 'hello');

  const controls = escapeKit.filter(({ onHost }) => onHost === true);
  const failedControls = outcomesOf(['node', '-e', attempter], controls).filter(({ status }) => status !== 0);
  assert.deepEqual(failedControls, [], 'for root of the host these work');
  console.log(
    `S6: ${succeeded.length} of ${outcomes.length} attempts succeed; ${controls.length} controls on the host do`,
  );
  await runtime.remove(spec.name);
});

test('traps in the files of a container: links to the host’s files, set-uid programs; stop, start, logs and removal touch nothing of the host', async () => {
  const spec = await anInstance(runtime, 41);
  await bringUp(runtime, spec);
  mkdirSync('/var/lib/berth-trapped', { recursive: true });
  writeFileSync('/var/lib/berth-trapped/machine-id', canary);
  const inside = (line: string) =>
    host('systemd-run', '-M', spec.name, '--quiet', '--pipe', '--wait', '--collect', '--', '/bin/bash', '-c', line);
  inside(`
    for path in /etc/preview.env /etc/hostname /etc/resolv.conf /etc/localtime /etc/os-release /home/preview/app/server.js; do ln -sfn ${canaryPath} $path; done
    for path in /var/log/journal /home/preview/repository.git /var/empty /tmp/traps; do rm -rf $path; ln -sfn /var/lib/berth-trapped $path; done
    cp /bin/bash /home/preview/bash && chmod 6755 /home/preview/bash
    touch "/home/preview/$(printf 'line\\nfeed')" "/home/preview/--no-preserve-root" "/home/preview/"$'\\xff'
    ln /home/preview/bash /home/preview/hard
  `);
  const root = `/var/lib/nixos-containers/${spec.name}`;
  const { uid, mode } = statSync(`${root}/home/preview/bash`);
  assert.equal(mode & 0o6000, 0o6000, 'it may have set-uid programs');
  assert.equal(uid, 524_288 + 41 * 65_536, 'which are nobody’s on the host');
  assert.equal(host('find', root, '-xdev', '(', '-type', 'b', '-o', '-type', 'c', ')'), '', 'no device in its files');
  await runtime.stop(spec.name);
  await runtime.start(spec, new AbortController().signal).catch(() => undefined);
  for await (const line of runtime.logs(spec.name, {
    follow: false,
    tailLines: 100,
    signal: AbortSignal.timeout(5_000),
  }))
    assert.equal(line.text.includes(canary), false);
  await runtime.remove(spec.name);
  assert.equal(await runtime.observe(spec.name), null);
  assert.equal(readFileSync(canaryPath, 'utf8'), canary);
  assert.equal(statSync(canaryPath).uid, 0);
  assert.equal(statSync(canaryPath).mode & 0o777, 0o600);
  assert.equal(readFileSync('/var/lib/berth-trapped/machine-id', 'utf8'), canary);
});
