/**
 * `npm run test:host`: every test that needs a host with the real components, each on a test host of its own
 * (test/host/test-host.ts). In CI it may not be skipped; elsewhere a machine that cannot carry a host is told what it lacks,
 * and how many tests did not run. With names after `--`, only the files that contain one of them.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { whyNoTestHost } from '../test/host/requirements.ts';

const directory = resolve(import.meta.dirname, '../test/host');
const wanted = process.argv.slice(2);
const files = readdirSync(directory)
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
  .map((name) => join(directory, name));

const obstacle = whyNoTestHost();
if (obstacle !== undefined) {
  const inCi = process.env['CI'] !== undefined;
  console.error(`${inCi ? 'FAILED' : 'SKIPPED'}: ${files.length} test files on a real host did not run: ${obstacle}`);
  process.exit(inCi ? 1 : 0);
}
if (files.length === 0) {
  console.error(`No test file in test/host matches ${wanted.join(' ')}.`);
  process.exit(2);
}
// One file at a time: the hosts of one file already keep two cores busy.
const run = spawnSync(process.execPath, ['--test', '--test-concurrency=1', ...files], { stdio: 'inherit' });
process.exit(run.status ?? 1);
