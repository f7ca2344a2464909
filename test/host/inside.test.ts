/** Runs each file of `inside/` in a test host of its own, as root there: the adapters meet real systemd, nspawn, nftables, Caddy and PostgreSQL. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hostTest } from './host-test.ts';
import { bringUpTestHost } from './test-host.ts';

const directory = join(import.meta.dirname, 'inside');
const only = process.env['BERTH_INSIDE'];

/** BERTH_CYCLES and the like reach the tests inside. */
const env = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) =>
    name.startsWith('BERTH_') && value !== undefined ? [[name, value]] : [],
  ),
);

for (const name of readdirSync(directory)) {
  // `a-*.ts` and `an-*.ts` are what the tests share; `*.ts` beside them hold tests.
  if (/^an?-/.test(name) || !name.endsWith('.ts') || (only !== undefined && !name.includes(only))) continue;
  hostTest(`inside a test host: ${name}`, async () => {
    await using host = await bringUpTestHost();
    const run = await host.run(['node', '--test', '--test-reporter=spec', join(directory, name)], {
      cwd: '/tmp',
      env,
      reject: false,
    });
    process.stdout.write(`${run.stdout}\n`);
    const journal =
      run.exitCode === 0 ? '' : (await host.run(['journalctl', '-u', 'berth-hostd', '--no-pager', '-n', '40'])).stdout;
    assert.equal(run.exitCode, 0, `${run.stderr}\n${journal}`);
    assert.match(run.stdout, /ℹ skipped 0/);
  });
}
