/** The `preview` command as people type it, against a real operators' API on a real socket. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import type { InstanceName } from '../../../webhook/core/names.ts';
import type { AskedView } from '../../../webhook/core/preview-view.ts';
import { AnApiOperator, type PreviewResult } from '../../support/an-api-operator.ts';
import { waitUntil } from '../../support/wait-until.ts';

const FIRST = 'a'.repeat(40);
const SECOND = 'b'.repeat(40);

function json(
  result: PreviewResult,
): Record<string, unknown> & { error?: { code: string; message: string; hint: string } } {
  return JSON.parse(result.stdout) as never;
}

test('a preview’s life: create, list, status, update, rollback, destroy', async () => {
  await using operator = await AnApiOperator.start();
  assert.deepEqual(await operator.preview('list'), { status: 0, stdout: '(no previews)\n', stderr: '' });

  operator.pull(7, FIRST);
  const created = await operator.preview('create', 'other/shop', 'branch-7');
  assert.equal(created.status, 0, created.stderr);
  assert.equal(
    created.stdout,
    `URL: https://shop-7.test\nRepo: other/shop\nBranch: branch-7\nCommit: ${FIRST.slice(0, 8)}\n`,
  );
  assert.match(created.stderr, /^\[INFO\] shop-7: running the app’s setup$/m);
  assert.match(created.stderr, /preview logs shop-7 --follow/);

  assert.equal(
    (await operator.preview('list')).stdout,
    'SLUG    STATUS  BRANCH    URL\nshop-7  live    branch-7  https://shop-7.test\n',
  );
  const status = await operator.preview('status', 'shop-7');
  assert.match(status.stdout, /^shop-7: live$/m);
  assert.match(status.stdout, /Instance: +p1 at aaaaaaaa, answering, up in \d+\.\d s$/m);
  const { timingsMs = {} } = (await operator.detailOf('shop-7')).instances[0] ?? {};
  assert.ok('set-up' in timingsMs, 'each step that the app needs has a time');
  assert.ok(!('ensure-database' in timingsMs) && !('build-system' in timingsMs), 'and the others have none');

  const nothing = await operator.preview('update', 'shop-7');
  assert.deepEqual([nothing.status, nothing.stdout], [0, `No new commits for 'shop-7' (aaaaaaaa). Nothing to do.\n`]);

  operator.pull(7, SECOND);
  const updated = await operator.preview('update', 'shop-7');
  assert.equal(updated.status, 0, updated.stderr);
  assert.match(updated.stdout, /^Commit: bbbbbbbb$/m);

  const rolledBack = await operator.preview('rollback', 'shop-7');
  assert.equal(rolledBack.status, 0, rolledBack.stderr);
  assert.match(rolledBack.stdout, /^Commit: aaaaaaaa$/m);
  assert.match((await operator.preview('status', 'shop-7')).stdout, /^shop-7: live \(rolled back\)$/m);

  const forward = await operator.preview('update', 'shop-7');
  assert.match(forward.stdout, /^Commit: bbbbbbbb$/m);

  const destroyed = await operator.preview('destroy', 'shop-7');
  assert.equal(destroyed.status, 0, destroyed.stderr);
  assert.match(destroyed.stdout, /^Preview 'shop-7' is gone\.$/m);
  assert.equal(operator.world.host.instances.size, 0);
  assert.match((await operator.preview('list')).stdout, /^shop-7  held/m);
});

test('destroying twice is destroying once: the next push brings it back', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  for (const time of ['once', 'twice']) {
    const destroyed = await operator.preview('destroy', 'shop-7');
    assert.equal(destroyed.status, 0, `${time}: ${destroyed.stderr}`);
  }
  operator.pull(7, SECOND);
  const [row] = operator.world.state.previews.values();
  assert.ok(row !== undefined);
  await operator.op.store.request(row.key, row.repository);
  await waitUntil('it is back', async () => /shop-7: live$/m.test((await operator.preview('status', 'shop-7')).stdout));
});

test('destroying what a close already removes holds nothing for the time after it', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  const [row] = operator.world.state.previews.values();
  const pull = operator.world.github.byName('other/shop')?.pulls.get(7);
  assert.ok(row !== undefined && pull !== undefined);
  pull.state = 'closed';
  row.wanted = { presence: 'absent', reason: 'closed' };
  assert.equal((await operator.preview('destroy', 'shop-7')).status, 0);
  assert.equal(row.hold, null);
});

test('a setup that fails ends the wait with the code, the last lines and the way out', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(8, FIRST, 'setup-fails');
  const created = await operator.preview('create', 'other/shop', 'branch-8');
  assert.equal(created.status, 1);
  assert.equal(created.stdout, '');
  assert.match(created.stderr, /^\[ERROR\] SETUP_FAILED: setup ended with status 1$/m);
  assert.match(created.stderr, /boom/);
  assert.match(created.stderr, /preview logs shop-8/);
  const { stdout: status } = await operator.preview('status', 'shop-8');
  assert.match(status, /Failure: +SETUP_FAILED at set-up/);
  assert.match(status, /Instance: +p1 at aaaaaaaa, failed$/m, 'it was never up');
  for (const text of [status, created.stderr]) {
    assert.match(text, /`preview logs shop-8` shows the whole output/);
    assert.doesNotMatch(text, /<slug>/);
  }

  operator.pull(10, FIRST, 'bad-manifest');
  await operator.preview('create', 'other/shop', 'branch-10');
  const notRunning = await operator.preview('exec', 'shop-10', '--', 'id');
  assert.match(notRunning.stderr, /`preview status shop-10` shows why; `preview update shop-10` tries/);

  operator.pull(8, SECOND, 'good');
  assert.equal((await operator.preview('update', 'shop-8')).status, 0);

  operator.pull(9, FIRST, 'setup-fails');
  const asJson = await operator.preview('create', 'other/shop', 'branch-9', '--json');
  assert.equal(asJson.status, 1);
  assert.equal(json(asJson).error?.code, 'SETUP_FAILED');
  assert.equal(asJson.stderr, '');
});

test('a preview that has failed can be destroyed: its old verdict is none on that', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(8, FIRST, 'setup-fails');
  assert.equal((await operator.preview('create', 'other/shop', 'branch-8')).status, 1);
  const asked = await operator.api.ask<AskedView>('DELETE', '/previews/shop-8');
  assert.ok(asked.preview.generation > asked.preview.concludedGeneration, 'it waits for a verdict of its own');

  operator.pull(9, FIRST, 'setup-fails');
  assert.equal((await operator.preview('create', 'other/shop', 'branch-9')).status, 1);
  const destroyed = await operator.preview('destroy', 'shop-9');
  assert.deepEqual([destroyed.status, destroyed.stdout], [0, "Preview 'shop-9' is gone.\n"], destroyed.stderr);
});

test('with --no-wait it says that it was asked for, and returns at once', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  const created = await operator.preview('create', 'other/shop', 'branch-7', '--no-wait', '--json');
  assert.equal(created.status, 0);
  assert.equal(json(created)['wantedCommit'], FIRST);
  await waitUntil('it is live', async () => (await operator.preview('list')).stdout.includes('live'));
  const named = await operator.preview('update', 'shop-7', '--no-wait');
  assert.equal(named.stdout, "No new commits for 'shop-7' (aaaaaaaa). Nothing to do.\n");
  const destroyed = await operator.preview('destroy', 'shop-7', '--no-wait');
  assert.equal(destroyed.stdout, 'Asked for. See: preview status shop-7\n');
});

test('before a preview has its name, it is called what it is of, and not by a number of ours', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  operator.pull(8, FIRST);
  const notWaited = await operator.preview('create', 'other/shop', 'branch-8', '--no-wait');
  assert.equal(notWaited.stdout, 'Asked for. See: preview list\n');
  const created = await operator.preview('create', 'other/shop', 'branch-7');
  for (const line of created.stderr.split('\n').filter((each) => each.includes(': ')))
    assert.match(line, /^\[INFO\] (?:shop-7|other\/shop (?:branch-7|#7)): /);
});

test('what cannot be done is refused with its code, and nothing is asked for', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  const before = operator.requests;
  const cases: [string[], number, string][] = [
    [['create', 'other/shop', 'branch-7'], 1, 'PREVIEW_EXISTS'],
    [['create', 'evil/shop', 'main'], 1, 'REPOSITORY_NOT_ALLOWED'],
    [['create', 'other/shop', 'no-such'], 3, 'NO_SUCH_BRANCH'],
    [['status', 'shop-8'], 3, 'PREVIEW_NOT_FOUND'],
    [['logs', 'shop-8'], 3, 'PREVIEW_NOT_FOUND'],
    [['logs', 'shop-8', '--follow'], 3, 'PREVIEW_NOT_FOUND'],
    [['update', 'shop-8'], 3, 'PREVIEW_NOT_FOUND'],
    [['destroy', 'shop-8'], 3, 'PREVIEW_NOT_FOUND'],
    [['plan', 'shop-8'], 3, 'PREVIEW_NOT_FOUND'],
    [['rollback', 'shop-7'], 1, 'NOTHING_TO_ROLL_BACK'],
  ];
  for (const [args, status, code] of cases) {
    const plain = await operator.preview(...args);
    assert.deepEqual([plain.status, plain.stdout], [status, ''], args.join(' '));
    assert.match(plain.stderr, /^\[ERROR\] .+\n {8}.+/);
    const asJson = await operator.preview(...args, '--json');
    assert.equal(asJson.status, status);
    assert.equal(json(asJson).error?.code, code, args.join(' '));
  }
  assert.equal(operator.requests, before);
});

const WRONG_USAGE: string[][] = [
  ['lst'],
  ['LIST'],
  [''],
  ['list', 'x'],
  ['list', '--follow'],
  ['--frobnicate'],
  ['list', '--json', '--json'],
  ['list', '--socket'],
  ['list', '--socket', '--json'],
  ['list', '--json=yes'],
  ['status'],
  ['status', 'a', 'b'],
  ['status', '--', '--help'],
  ['create', 'other/shop'],
  ['create', 'other/shop', 'b', 'c'],
  ['create', '-oProxyCommand=x', 'main'],
  ['create', 'a/b/c', 'main'],
  ['create', '../x', 'main'],
  ['create', 'other/shop', '--', '--upload-pack=x'],
  ['create', 'other/shop', 'a..b'],
  ['create', 'other/shop', 'a b'],
  ['create', 'other/shop', 'x.lock'],
  ['create', 'other/shop', 'a\nb'],
  ['logs', 'shop-7', '--lines', '-1'],
  ['logs', 'shop-7', '--lines', '1e3'],
  ['logs', 'shop-7', '--lines', '999999'],
  ...[
    '../../x',
    'a/b',
    '.',
    'A',
    'a--b',
    'a_b',
    'webhook',
    'www',
    'api',
    'x'.repeat(64),
    'a\nb',
    '١',
    'preview_x; DROP',
    '%2e',
    'x?y=1',
  ].map((slug) => ['status', slug]),
  ['status', 'x'.repeat(120_000)],
  ['list', ...Array.from({ length: 10_000 }, (_, index) => String(index))],
  ['complete', 'tcsh'],
  ['help', 'frobnicate'],
];

test('wrong usage: status 2, a way out, JSON that parses, and nothing is asked for', async () => {
  await using operator = await AnApiOperator.start();
  const check = async (args: string[]) => {
    const shown = JSON.stringify(args).slice(0, 80);
    const asJson = await operator.preview('--json', ...args);
    assert.equal(asJson.status, 2, shown);
    assert.equal(json(asJson).error?.code, 'BAD_REQUEST', shown);
    // Every third also as people see it: each start of a process takes its time.
    if (args.includes('--json') || WRONG_USAGE.indexOf(args) % 3 !== 0) return;
    const plain = await operator.preview(...args);
    assert.deepEqual([plain.status, plain.stdout], [2, ''], `${shown} ${plain.stderr}`);
    assert.match(plain.stderr, /^\[ERROR\] .+\n {8}\S/, shown);
    assert.ok(plain.stderr.length < 1_000, shown);
  };
  for (let first = 0; first < WRONG_USAGE.length; first += 4)
    await Promise.all(WRONG_USAGE.slice(first, first + 4).map(check));
  assert.equal(operator.world.state.previews.size, 0);
});

test('a misspelled command says which one was meant and points at help', async () => {
  await using operator = await AnApiOperator.start();
  const { stderr } = await operator.preview('destory', 'x');
  assert.match(stderr, /Unknown command 'destory'\. Did you mean destroy\?\n +See: preview help/);
});

test('help in every form, without an operator', async () => {
  const operator = await AnApiOperator.start();
  await operator[Symbol.asyncDispose]();
  for (const args of [[], ['help'], ['--help'], ['-h']]) {
    const help = await operator.preview(...args);
    assert.equal(help.status, 0);
    assert.match(help.stdout, /^Usage: preview <command>/m);
  }
  for (const args of [
    ['help', 'logs'],
    ['logs', '--help'],
    ['logs', '-h'],
  ]) {
    assert.match((await operator.preview(...args)).stdout, /^Usage: preview logs <slug> \[--follow, -f\]/);
    const { commands } = json(await operator.preview(...args, '--json')) as unknown as { commands: { name: string }[] };
    assert.deepEqual(
      commands.map((each) => each.name),
      ['logs'],
    );
  }
});

test('what stands after `--` is of the command inside, also a --json', async () => {
  await using operator = await AnApiOperator.start();
  const plain = await operator.preview('exec', 'shop-8', '--', 'curl', '--json', '{}');
  assert.deepEqual([plain.status, plain.stdout], [3, '']);
  assert.match(plain.stderr, /^\[ERROR\] Preview 'shop-8' not found\./);
  const asJson = await operator.preview('exec', 'shop-8', '--json', '--', 'curl');
  assert.equal(json(asJson).error?.code, 'PREVIEW_NOT_FOUND');
});

test('without an operator: status 4 and where it looked', async () => {
  const operator = await AnApiOperator.start();
  await operator[Symbol.asyncDispose]();
  const plain = await operator.preview('list');
  assert.equal(plain.status, 4);
  assert.ok(plain.stderr.includes(operator.socket) && plain.stderr.includes('npm start'), plain.stderr);
  assert.equal(json(await operator.preview('list', '--json')).error?.code, 'OPERATOR_UNREACHABLE');
  const elsewhere = await operator.preview('list', '--socket', '/nowhere/operator.sock');
  assert.match(elsewhere.stderr, /No operator answers on \/nowhere\/operator\.sock/);
});

test('logs: the last lines, following, and a reader that goes away', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  const name = operator.answering(7);
  const line = (text: string) => ({ at: new Date(0), source: 'web', text });
  operator.printed.set(
    name,
    Array.from({ length: 500 }, (_, index) => line(`line ${index}`)),
  );

  const last = await operator.preview('logs', 'shop-7', '--lines', '2');
  assert.equal(last.stdout, '1970-01-01T00:00:00.000Z web line 498\n1970-01-01T00:00:00.000Z web line 499\n');
  const documents = (await operator.preview('logs', 'shop-7', '-n', '3', '--json')).stdout.trimEnd().split('\n');
  assert.deepEqual(
    documents.map((text) => (JSON.parse(text) as { text: string }).text),
    ['line 497', 'line 498', 'line 499'],
  );

  const follower = operator.spawn(['logs', 'shop-7', '-f', '-n', '1']);
  let followed = '';
  follower.stdout.setEncoding('utf8').on('data', (text: string) => (followed += text));
  await waitUntil('the last line came', () => followed.includes('line 499'));
  operator.printed.get(name)?.push(line('and one more'));
  await waitUntil('the new line came', () => followed.includes('and one more'));
  const ended = new Promise((done) => follower.once('close', done));
  follower.stdout.destroy();
  operator.printed.get(name)?.push(line('nobody reads this'));
  assert.equal(await ended, 0, 'EPIPE is no failure');
});

test('a reader that has had enough changes nothing about how it ends', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST, 'setup-fails');
  const failed = await operator.bash('preview create other/shop branch-7 2>&1 | true; echo ${PIPESTATUS[0]}');
  assert.equal(failed.stdout, '1\n');
  operator.pull(7, SECOND);
  const shown = await operator.bash('preview update shop-7 2>&1 | true; echo ${PIPESTATUS[0]}');
  assert.equal(shown.stdout, '0\n');
  const listed = await operator.bash('preview list --json | true; echo ${PIPESTATUS[0]}');
  assert.equal(listed.stdout, '0\n');
});

test('a result that cannot be written is a failure with its reason', {
  skip: existsSync('/dev/full') ? false : 'needs /dev/full',
}, async () => {
  await using operator = await AnApiOperator.start();
  for (const words of ['list', 'list --json', 'help']) {
    const { stdout, stderr } = await operator.bash(`preview ${words} > /dev/full; echo $?`);
    assert.equal(stdout, '1\n', words);
    assert.match(stderr, /^\[ERROR\] Standard output cannot be written to \(ENOSPC: [^\n]*\)\.\n$/, words);
  }
});

test('logs --follow goes on with the instance of the next push, and ends when the preview is gone', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  const line = (text: string) => ({ at: new Date(0), source: 'web', text });
  const first = operator.answering(7);
  operator.printed.set(first, [line('printed by the first')]);

  const follower = operator.spawn(['logs', 'shop-7', '--follow']);
  let [stdout, stderr] = ['', ''];
  follower.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  follower.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise((done) => follower.once('close', done));
  await waitUntil('the first instance is read', () => stdout.includes('printed by the first'));

  operator.pull(7, SECOND);
  assert.equal((await operator.preview('update', 'shop-7')).status, 0);
  const second = operator.answering(7);
  assert.notEqual(second, first);
  operator.printed.set(second, [line('setup of the second'), line('printed by the second')]);
  await waitUntil('the second instance is read', () => stdout.includes('printed by the second'));
  assert.match(stdout, /setup of the second/);
  assert.equal(stdout.split('printed by the first').length, 2, 'no line twice');
  assert.ok(stderr.includes(`From here on of commit ${SECOND.slice(0, 8)}.`), stderr);

  await operator.preview('destroy', 'shop-7');
  assert.equal(await ended, 0);
  assert.match(stderr, /The preview is gone\./);
});

test('an operator that goes away in the middle is said to have gone', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  operator.printed.set(operator.answering(7), [{ at: new Date(0), source: 'web', text: 'hello' }]);
  const follower = operator.spawn(['logs', 'shop-7', '-f']);
  let stderr = '';
  let stdout = '';
  follower.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  follower.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  await waitUntil('the line came', () => stdout.includes('hello'));
  const ended = new Promise((done) => follower.once('close', done));
  await operator.server.close();
  assert.equal(await ended, 4);
  assert.match(stderr, /broke off in the middle/);
});

test('nothing from outside steers the terminal', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  const row = [...operator.world.state.previews.values()][0];
  assert.ok(row !== undefined);
  const hostile = 'x\u001b[31mred\u0007\u202egnp\u009b2J\u200b';
  row.wanted = { presence: 'present', revision: { sha: FIRST as never, ref: hostile } };
  operator.printed.set(operator.answering(7), [{ at: new Date(0), source: hostile, text: hostile }]);
  for (const args of [
    ['list'],
    ['status', 'shop-7'],
    ['logs', 'shop-7'],
    ['list', '--json'],
    ['status', 'shop-7', '--json'],
    ['logs', 'shop-7', '--json'],
  ]) {
    const { stdout } = await operator.preview(...args);
    assert.match(stdout, /gnp/, args.join(' '));
    assert.ok(!/[^\P{Cc}\n]|[\u202e\u200b]/u.test(stdout), JSON.stringify(stdout));
  }
});

test('plan says what would be done and why, and does nothing', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  assert.match(
    (await operator.preview('plan', 'shop-7')).stdout,
    /^Wanted: other\/shop at aaaaaaaa \(branch-7\)\nNothing to do\.\n$/,
  );
  operator.pull(7, SECOND);
  const before = operator.requests;
  const { stdout } = await operator.preview('plan', 'shop-7');
  assert.match(stdout, /^ +\d+\. set-up bbbbbbbb: setup has not run for bbbbbbbb$/m);
  assert.equal(operator.requests, before);
});

test('doctor finds what belongs to nobody and what is not as wanted; --fix sees to it', async () => {
  await using operator = await AnApiOperator.start();
  operator.pull(7, FIRST);
  await operator.preview('create', 'other/shop', 'branch-7');
  const healthy = await operator.preview('doctor');
  assert.deepEqual([healthy.status, healthy.stdout], [0, '1 preview looked at: all is as it should be.\n']);

  const stray = 'p999' as InstanceName;
  operator.world.host.instances.set(stray, {
    name: stray,
    placed: null,
    setUpBegun: false,
    running: true,
    headRepositoryId: null,
  });
  const instance = operator.world.host.instances.get(operator.answering(7));
  assert.ok(instance !== undefined);
  instance.running = false;
  const sick = await operator.preview('doctor');
  assert.equal(sick.status, 1);
  assert.match(sick.stdout, /^orphan +p999: an instance that belongs to no preview/m);
  assert.match(sick.stdout, /^drift +shop-7: .*start/m);
  assert.ok(operator.world.host.instances.has(stray), 'looking changes nothing');

  assert.equal((await operator.preview('doctor', '--fix')).status, 0);
  assert.ok(!operator.world.host.instances.has(stray));
  await waitUntil('it runs again', async () => (await operator.preview('doctor')).status === 0);
});

test('doctor says of a file that is kept under another name that it is, and not that it was removed', async () => {
  await using operator = await AnApiOperator.start();
  let isMended = false;
  const mend = async () => void (isMended = true);
  operator.routeDefects = [{ kind: 'foreign', file: 'by-hand.json', keptAs: 'by-hand.json.damaged', mend }];
  const about = 'orphan   by-hand.json: a route file that belongs to no preview → ';
  assert.match(
    (await operator.preview('doctor')).stdout,
    new RegExp(`^${about}set it aside as by-hand.json.damaged$`, 'm'),
  );
  assert.ok(!isMended);
  const fixed = await operator.preview('doctor', '--fix');
  assert.match(fixed.stdout, new RegExp(`^${about}set aside as by-hand.json.damaged$`, 'm'));
  assert.ok(isMended);
});

test('doctor says when the host has no room for another instance, whatever its previews may still take', async () => {
  await using operator = await AnApiOperator.start();
  operator.diskRoom = { freeMiB: 50_000, unfilledMiB: 80_000 };
  assert.equal((await operator.preview('doctor')).status, 0);
  operator.diskRoom = { freeMiB: 6_000, unfilledMiB: 80_000 };
  const short = await operator.preview('doctor');
  assert.equal(short.status, 1);
  assert.match(
    short.stdout,
    /^host +disk: 6000 MiB are left, and its previews may still take 80000; a new one of 4096 MiB has no room and waits$/m,
  );
});
