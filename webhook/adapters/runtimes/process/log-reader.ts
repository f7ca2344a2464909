/** Reads the logs of an instance: all sources merged by time, and on as they grow. */
import { watch } from 'node:fs';
import { open, readdir, readFile, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogLine } from '../../../ports.ts';
import { logPath, oldLogPath } from './log-files.ts';

/** Changes that come together are read together: a service that prints line by line costs twenty reads a second, not thousands. */
const GATHER_MS = 50;

const CURRENT = /^([a-z][a-z0-9-]*)\.log$/;

/** See Runtime.logs. `directory` is the instance's own directory of logs. */
export async function* readLogs(
  directory: string,
  options: { readonly follow: boolean; readonly tailLines: number; readonly signal: AbortSignal },
): AsyncGenerator<LogLine> {
  const { follow, tailLines, signal } = options;
  const tails = new Map<string, FileTail>();
  const changes = follow ? changesOf(directory, signal) : null;
  try {
    const before: LogLine[] = [];
    for (const source of await sourcesIn(directory)) {
      before.push(...linesFrom(source, await textOf(oldLogPath(directory, source))));
      const tail = new FileTail(directory, source);
      tails.set(source, tail);
      before.push(...(await tail.more()));
    }
    yield* sorted(before).slice(-tailLines || before.length);
    if (changes === null) return;
    for await (const _ of changes) {
      const lines: LogLine[] = [];
      for (const source of await sourcesIn(directory)) {
        const tail = tails.get(source) ?? new FileTail(directory, source);
        tails.set(source, tail);
        lines.push(...(await tail.more()));
      }
      yield* sorted(lines);
    }
  } finally {
    for (const tail of tails.values()) await tail.close();
  }
}

/** Says that there may be something new, until the signal fires or the directory has gone. The first time at once. */
async function* changesOf(directory: string, signal: AbortSignal): AsyncGenerator<void> {
  let wake = () => {};
  let hasChanged = true;
  const onChange = () => {
    hasChanged = true;
    wake();
  };
  const watcher = watch(directory, onChange);
  watcher.on('error', onChange);
  signal.addEventListener('abort', onChange, { once: true });
  try {
    while (!signal.aborted) {
      if (!hasChanged) await new Promise<void>((resolve) => (wake = resolve));
      if (signal.aborted || !(await isDirectory(directory))) return;
      hasChanged = false;
      yield;
      await sleep(GATHER_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    watcher.close();
    signal.removeEventListener('abort', onChange);
  }
}

/** What was written to one log since the last look, also across its turning over. */
class FileTail {
  readonly #directory: string;
  readonly #source: string;
  #file: FileHandle | null = null;
  #offset = 0;
  #rest = '';

  constructor(directory: string, source: string) {
    this.#directory = directory;
    this.#source = source;
  }

  async more(): Promise<LogLine[]> {
    const text = await this.#read();
    if (await this.#hasTurnedOver()) {
      await this.close();
      return linesFrom(this.#source, this.#whole(text + (await this.#read())));
    }
    return linesFrom(this.#source, this.#whole(text));
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
    this.#offset = 0;
  }

  async #read(): Promise<string> {
    this.#file ??= await open(logPath(this.#directory, this.#source)).catch(() => null);
    if (this.#file === null) return '';
    const size = (await this.#file.stat()).size;
    const buffer = Buffer.alloc(Math.max(0, size - this.#offset));
    const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, this.#offset);
    this.#offset += bytesRead;
    return buffer.subarray(0, bytesRead).toString('utf8');
  }

  async #hasTurnedOver(): Promise<boolean> {
    if (this.#file === null) return false;
    const current = await open(logPath(this.#directory, this.#source)).catch(() => null);
    if (current === null) return false;
    const [mine, theirs] = await Promise.all([this.#file.stat(), current.stat()]);
    await current.close();
    return mine.ino !== theirs.ino;
  }

  /** Complete lines only; the writer writes whole ones, but a look may come in between. */
  #whole(text: string): string {
    const all = this.#rest + text;
    const end = all.lastIndexOf('\n') + 1;
    this.#rest = all.slice(end);
    return all.slice(0, end);
  }
}

function linesFrom(source: string, text: string): LogLine[] {
  return text
    .split('\n')
    .map((line) => {
      const space = line.indexOf(' ');
      const ms = Number(line.slice(0, space));
      return space > 0 && Number.isSafeInteger(ms) ? { at: new Date(ms), source, text: line.slice(space + 1) } : null;
    })
    .filter((line) => line !== null);
}

/** By time; lines of the same instant keep the order within their source. */
function sorted(lines: readonly LogLine[]): LogLine[] {
  return lines.toSorted((a, b) => a.at.getTime() - b.at.getTime());
}

async function sourcesIn(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => []);
  return names.flatMap((name) => CURRENT.exec(name)?.[1] ?? []);
}

function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

async function isDirectory(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    () => false,
  );
}
