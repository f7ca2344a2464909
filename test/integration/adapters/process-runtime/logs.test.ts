import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { LogFile } from '../../../../webhook/adapters/runtimes/process/log-files.ts';
import { cleanLine, LineSplitter } from '../../../../webhook/adapters/runtimes/process/log-lines.ts';
import { readLogs } from '../../../../webhook/adapters/runtimes/process/log-reader.ts';
import {
  LOG_FILE_MAX_BYTES,
  FAILURE_TAIL_LINES,
  LOG_KEPT_BYTES_PER_SECOND,
  LOG_LINE_MAX_BYTES,
} from '../../../../webhook/core/limits.ts';
import type { LogLine } from '../../../../webhook/ports.ts';
import { aProcessRuntime } from '../../../support/a-process-runtime.ts';
import type { LogWriting } from '../../../support/log-writing-thread.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const signal = new AbortController().signal;

function aDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'berth-logs-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

async function collected(lines: AsyncIterable<LogLine>): Promise<string[]> {
  const texts: string[] = [];
  for await (const line of lines) texts.push(`${line.source}: ${line.text}`);
  return texts;
}

test('no control character reaches a line, and no line is longer than its bound', () => {
  const cases: [string, string][] = [
    ['\u001b[31mred\u001b[0m and \u001b[1;4mbold', 'red and bold'],
    ['\u001b]0;title\u0007text', 'text'],
    ['\u001b]8;;http://x\u001b\\link', 'link'],
    ['a\tb', 'a  b'],
    ['bell\u0007 del\u007f csi\u009b1m nul\0', 'bell del csi1m nul'],
    ['\u202eevil\u202c \u2066x\u2069', 'evil x'],
    ['line\u2028separator', 'lineseparator'],
    ['grüße 🎉', 'grüße 🎉'],
  ];
  for (const [given, wanted] of cases) assert.equal(cleanLine(given), wanted);
  const long = cleanLine('🎉'.repeat(3_000));
  assert.ok(Buffer.byteLength(long) <= LOG_LINE_MAX_BYTES);
  assert.match(long, /^(?:🎉)+…$/u);
});

test('lines are put together across chunks, also in the middle of a character', () => {
  const splitter = new LineSplitter();
  const bytes = Buffer.from('grüße\r\nzwei\r50%\r100%\nrest');
  const lines = [...bytes].flatMap((byte) => splitter.add(Buffer.from([byte])));
  assert.deepEqual([...lines, ...splitter.end()], ['grüße', 'zwei', '50%', '100%', 'rest']);
  const endless = new LineSplitter();
  for (let chunk = 0; chunk < 200; chunk += 1) assert.deepEqual(endless.add(Buffer.alloc(65_536, 'x')), []);
  assert.equal(endless.add(Buffer.from('\n')).length, 1);
});

test('a log is kept in two files of half its size, and the latest lines are in it', async (t) => {
  const directory = aDirectory(t);
  const log = new LogFile(directory, 'web');
  for (let index = 0; index < 3_000; index += 1) log.note(`${index} ${'x'.repeat(4_000)}`);
  log.close();
  const sizes = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
  assert.equal(sizes.length, 2);
  assert.ok(sizes.every((size) => size <= LOG_FILE_MAX_BYTES / 2));
  const texts = await collected(readLogs(directory, { follow: false, tailLines: 3, signal }));
  assert.deepEqual(
    texts.map((text) => text.slice(0, 17)),
    ['web: [berth] 2997', 'web: [berth] 2998', 'web: [berth] 2999'],
  );
});

test('following shows each line once, across a turn of the files and a source that comes later', async (t) => {
  const directory = aDirectory(t);
  const log = new LogFile(directory, 'setup');
  log.note('before');
  const controller = new AbortController();
  const seen: string[] = [];
  const following = (async () => {
    for await (const line of readLogs(directory, { follow: true, tailLines: 10, signal: controller.signal }))
      seen.push(`${line.source}: ${line.text.split(' ')[1]}`);
  })();
  await waitUntil('the line before', () => seen.length === 1);
  const later = new LogFile(directory, 'web');
  for (let index = 0; index < 800; index += 1) log.note(`${index} ${'x'.repeat(4_000)}`);
  later.note('later');
  await waitUntil(
    () => `all have come; ${seen.length} have`,
    () => seen.length === 802,
  );
  assert.deepEqual(
    seen.filter((line) => line.startsWith('setup')),
    ['setup: before', ...Array.from({ length: 800 }, (_, index) => `setup: ${index}`)],
  );
  controller.abort();
  await following;
  log.close();
  later.close();
});

test('a look that meets the turning over of the files sees all that was there when it began, and nothing twice', async (t) => {
  const directory = aDirectory(t);
  const padding = 4_000;
  const workerData: LogWriting = { directory, source: 'web', padding };
  const writer = new Worker(new URL('../../../support/log-writing-thread.ts', import.meta.url), { workerData });
  t.after(() => writer.terminate());
  let written = 0;
  const write = async (lines: number) => {
    const done = once(writer, 'message') as Promise<[number]>;
    writer.postMessage(lines);
    [written] = await done;
  };
  // Less than fills one file: a look meets one turn at most.
  const aFile = Math.floor(LOG_FILE_MAX_BYTES / 2 / (padding + 50));
  await write(100);
  for (let look = 0; look < 40; look += 1) {
    const before = written;
    const turning = write(aFile);
    const lines = await collected(readLogs(directory, { follow: false, tailLines: 100_000, signal }));
    const numbers = lines.map((line) => Number(line.split(' ')[2]));
    assert.deepEqual(
      numbers,
      numbers.map((_, at) => (numbers[0] ?? 0) + at),
    );
    const last = numbers.at(-1) ?? -1;
    assert.ok(last >= before - 1, `look ${look}: the last line is ${last}, and ${before - 1} was written before`);
    await turning;
  }
});

test('following ends when the instance is removed', async (t) => {
  const { runtime, place } = await aProcessRuntime(t);
  const spec = await place('hello-node');
  await runtime.setUp(spec, signal);
  const following = collected(runtime.logs(spec.name, { follow: true, tailLines: 10, signal }));
  await runtime.remove(spec.name);
  await following;
});

test('a flood is bounded on disk, told, and does not touch the neighbour', async (t) => {
  const { runtime, place, directory } = await aProcessRuntime(t);
  const [flooding, calm] = [await place('floods-its-log'), await place('hello-node')];
  await runtime.start(flooding, signal);
  await runtime.start(calm, signal);
  const logs = join(directory, flooding.name, 'logs');
  const dropped = async () =>
    (await collected(runtime.logs(flooding.name, { follow: false, tailLines: 100_000, signal }))).filter((line) =>
      line.includes('lines were dropped'),
    );
  await waitUntil('three seconds have dropped lines', async () => (await dropped()).length >= 3);
  const bytes = readdirSync(logs).reduce((sum, name) => sum + statSync(join(logs, name)).size, 0);
  assert.ok(bytes <= LOG_FILE_MAX_BYTES);
  assert.match(
    (await dropped())[0] ?? '',
    /web: \[berth\] \d+ lines were dropped here: more than 512 KiB a second is not kept/,
  );
  for (const spec of [flooding, calm]) {
    const upstream = runtime.upstreamsOf(spec)['3000'];
    assert.equal((await fetch(`http://${upstream?.address}:${upstream?.port}/health`)).status, 200);
  }
  const began = Date.now();
  await runtime.remove(flooding.name);
  t.diagnostic(`removed in ${Date.now() - began} ms, ${bytes} bytes of log`);
});

test('what is beyond the rate is dropped and counted, what was before it and its last lines are kept', async (t) => {
  const directory = aDirectory(t);
  const log = new LogFile(directory, 'web');
  const line = `${'x'.repeat(1_023)}\n`;
  const stream = Readable.from(Array.from({ length: 1_024 }, () => Buffer.from(line)));
  log.follow(stream);
  await new Promise((resolve) => stream.once('close', resolve));
  log.close();
  const texts = await collected(readLogs(directory, { follow: false, tailLines: 100_000, signal }));
  const kept = LOG_KEPT_BYTES_PER_SECOND / 1_024;
  assert.equal(texts.length, kept + 1 + FAILURE_TAIL_LINES);
  assert.equal(
    texts[kept],
    `web: [berth] ${1_024 - kept - FAILURE_TAIL_LINES} lines were dropped here: more than 512 KiB a second is not kept`,
  );
});
