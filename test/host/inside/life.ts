import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, host, hostd, hostStatus, startHostd } from './a-host-runtime.ts';
import { inventory, isAsBefore } from './an-inventory.ts';
import {
  anOperator,
  askCaddy,
  operatorLog,
  preview,
  shopAt,
  shows,
  startOperator,
  startProbes,
  token,
} from './an-operator.ts';

const shop = 'shop-1.preview.test';

test('a pull request lives: opened, updated without a lost request, rolled back, closed, and nothing is left', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  await repository.commit('feature', shopAt('1'), 'One');
  const pull = await repository.openPullRequest({ head: 'feature' });
  await shows(shop, 'version 1');
  const gone = () =>
    eventually(async () => !(await preview('list', '--json')).includes('shop-1'), 'the preview is gone');
  // The first life leaves what is made once: the copy of the repository, the closure, Caddy's block for this kind of route.
  await pull.close();
  await gone();
  const clean = inventory();
  await pull.reopen();
  await shows(shop, 'version 1');
  assert.equal((await askCaddy(shop, '/visits')).text, '1\n');
  await eventually(() => pull.comments.some((comment) => comment.body.includes(shop)), 'the comment names the URL');
  assert.match(await preview('list'), /shop-1/);

  let asked = 0;
  const failures: string[] = [];
  const over = new AbortController();
  const load = Array.from({ length: 4 }, async () => {
    while (!over.signal.aborted) {
      asked += 1;
      const answer = await askCaddy(shop).catch((error: unknown) => ({ status: 0, text: String(error) }));
      if (!/^version \d$/.test(answer.text)) failures.push(`${answer.status} ${answer.text}`);
    }
  });
  try {
    await pull.push(shopAt('2'));
    await shows(shop, 'version 2');
  } finally {
    over.abort();
    await Promise.all(load);
  }
  assert.deepEqual(failures, [], `${failures.length} of ${asked} requests failed during the update`);
  console.log(`update: 0 of ${asked} requests failed`);
  assert.equal((await askCaddy(shop, '/visits')).text, '2\n', 'the database is the same one');

  await preview('rollback', 'shop-1');
  await shows(shop, 'version 1');
  await pull.push(shopAt('3'));
  await shows(shop, 'version 3');
  assert.match(await preview('logs', 'shop-1'), /version 3 listens/);

  await pull.close();
  await gone();
  await isAsBefore(clean);
  // The token is nobody's but the operator's: no log of the host has it.
  assert.equal(host('journalctl', '--no-pager').includes(token), false);
  assert.equal(operatorLog(2_000).includes(token), false);
});

test('the operator and hostd can be killed at any time: previews go on, and are taken up again', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  await repository.commit('feature', shopAt('1'), 'One');
  const pull = await repository.openPullRequest({ head: 'feature' });
  await shows(shop, 'version 1');
  const stopProbes = await startProbes(shop);
  try {
    for (let round = 0; round < 5; round += 1) {
      host('systemctl', 'kill', '--signal=SIGKILL', 'berth-operator', 'berth-hostd');
      await eventually(() => hostStatus('systemctl', 'status', 'berth-operator') !== 0, 'the operator is gone');
      startHostd();
      startOperator();
    }
  } catch (error) {
    await stopProbes();
    throw error;
  }
  const { asked, failed } = await stopProbes();
  console.log(`5 kills of operator and hostd: ${failed} of ${asked} probes failed`);
  assert.equal(failed, 0, `${failed} of ${asked} probes failed`);
  await pull.push(shopAt('2'));
  await shows(shop, 'version 2');

  // Somebody stops the container by hand: the next look brings it back, without a build. One that is under way does so while it stops, and systemd then
  // cancels the stop.
  const [answer] = await hostd.ask({ verb: 'list-answers' });
  hostStatus('systemctl', 'stop', `container@${answer?.name ?? ''}`);
  await preview('update', 'shop-1');
  await shows(shop, 'version 2');
  await pull.close();
  await eventually(async () => !(await preview('list', '--json')).includes('shop-1'), 'the preview is gone');
});

test('a setup that was cut off is begun again on files as they were at first', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  const files = shopAt('1');
  // Hangs the first time, and gets through the second, where nothing is left of the first but the database.
  const setup = `setup]
command = '''
set -e; mkdir dist ~/cache; psql -q "$DATABASE_URL" -c "create table if not exists runs (n int)" -c "insert into runs values (1)"
echo begun; test "$(psql -XAtc "select count(*) from runs" "$DATABASE_URL")" = 2 || sleep 600'''
[[services`;
  await repository.commit('feature', {
    ...files,
    'preview.toml': files['preview.toml']?.replace(/setup\][^]*?\[\[services/, setup) ?? '',
  });
  const pull = await repository.openPullRequest({ head: 'feature' });
  const begun = async () => (await preview('logs', 'shop-1').catch(() => '')).includes('begun');
  await eventually(begun, 'the setup is in the middle');
  host('systemctl', 'kill', '--signal=SIGKILL', 'berth-operator');
  await eventually(() => hostStatus('systemctl', 'status', 'berth-operator') !== 0, 'the operator is gone');
  startOperator();
  await shows(shop, 'version 1');
  await pull.close();
  await eventually(async () => !(await preview('list', '--json')).includes('shop-1'), 'the preview is gone');
});

test('a preview that failed says why at its own address, and the page goes when it is closed', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  const service = '[[services]]\nname = "web"\ncommand = "exec node server.js"\nport = 3000\n';
  const broken = { ...shopAt('1'), 'preview.toml': `[setup]\ncommand = "exit 7"\n${service}` };
  await repository.commit('feature', broken, 'One');
  const pull = await repository.openPullRequest({ head: 'feature' });
  const page = () => askCaddy(shop, '/', { accept: 'text/html' });
  await eventually(async () => (await page()).text.includes('SETUP_FAILED'), 'the page names the failure');
  const { status, text } = await page();
  assert.equal(status, 503);
  assert.match(text, /data-page="berth-status"/);
  await pull.close();
  await eventually(async () => (await askCaddy(shop)).status === 404, 'nobody answers');
});
