/**
 * `npm test`: every test that this machine can run, in node's own runner. `npm test -- <file…>` runs some.
 *
 * test/host and test/nix need a prepared host or Nix and have commands of their own (`npm run test:nix`). A skipped test is no passed one: each is
 * listed with what it needed, before the runner's closing lines.
 */
import { glob } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { relative, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { startTestServer } from '../test/support/test-server.ts';

/** A file that takes longer than this hangs: the slowest takes one minute, on a slow day beside others nearly four. */
const FILE_TIMEOUT_MS = 600_000;
const SLOW_FILE_MS = 10_000;
const ELSEWHERE = ['test/host/**', 'test/nix/**'];

interface Skipped {
  readonly file: string;
  readonly name: string;
  readonly needed: string;
}

const given = process.argv.slice(2);
const files = given.length > 0 ? given : await testFiles();
if (files.length === 0) {
  console.error('There is no test file.');
  process.exit(1);
}

// What is left of TypeScript without its types is kept: each file is a process, and so is each operator that it starts. A sixth of their time.
process.env['NODE_COMPILE_CACHE'] ??= resolve('node_modules/.cache/node-compile');

// One PostgreSQL for all files; each makes databases of its own in it.
const server = (process.env['TEST_DATABASE_URL'] ?? process.env['DATABASE_URL']) ? null : await startTestServer();
if (server !== null) process.env['TEST_DATABASE_URL'] = server.url;

const skipped: Skipped[] = [];
/** Milliseconds per file, to see where the five minutes go. */
const tookMs = new Map<string, number>();
// One more than there are cores: much of what a test of the real service does is waiting.
const concurrency = availableParallelism() + 1;
const stream = run({ files, concurrency, timeout: FILE_TIMEOUT_MS });
stream.on('test:fail', (event) => {
  // `todo` failures are expected ones.
  if (event.todo === undefined) process.exitCode = 1;
});
stream.on('test:pass', (event) => {
  if (event.skip === undefined || event.skip === false) return;
  const needed = typeof event.skip === 'string' && event.skip !== '' ? event.skip : 'does not say what it needs';
  skipped.push({ file: relative(process.cwd(), event.file ?? ''), name: event.name, needed });
});

stream.on('test:summary', ({ file, duration_ms: ms }) => {
  if (file !== undefined) tookMs.set(relative(process.cwd(), file), ms);
});

// The report is held back until its end, line by line as before, so that the list of skipped tests can stand before the closing lines.
const report = new PassThrough();
stream.compose(spec).pipe(report);
let isClosing = false;
let rest = '';
for await (const chunk of report) {
  const lines = (rest + String(chunk)).split('\n');
  rest = lines.pop() ?? '';
  for (const line of lines) {
    if (!isClosing && /ℹ tests \d+/.test(line)) {
      isClosing = true;
      printSlowest();
      printSkipped();
    }
    process.stdout.write(`${line}\n`);
  }
}
await server?.stop();
process.stdout.write(rest);

async function testFiles(): Promise<string[]> {
  const found: string[] = [];
  for await (const file of glob('test/**/*.test.ts', { exclude: ELSEWHERE })) found.push(file);
  return found.sort();
}

function printSlowest(): void {
  const slow = [...tookMs].filter(([, ms]) => ms > SLOW_FILE_MS).toSorted(([, a], [, b]) => b - a);
  if (slow.length > 0) process.stdout.write('\nFiles that took longer than 10 s:\n');
  for (const [file, ms] of slow) process.stdout.write(`${(ms / 1_000).toFixed(0).padStart(5)} s  ${file}\n`);
}

function printSkipped(): void {
  if (skipped.length === 0) return;
  process.stdout.write(
    `\n!!! SKIPPED: ${skipped.length} test${skipped.length === 1 ? '' : 's'} could not run on this machine\n`,
  );
  for (const { file, name, needed } of skipped)
    process.stdout.write(`!!!   ${file}: ${name}\n!!!     ${/^needs?\b/.test(needed) ? needed : `needs: ${needed}`}\n`);
  process.stdout.write('\n');
}
