/** Reads the logs of an instance: all sources merged by time, and on as they grow. */
import { watch, type FSWatcher } from 'node:fs';
import { open, readdir, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogLine } from '../../../ports.ts';
import { logPath, oldLogPath } from './log-files.ts';

/** Changes that come together are read together: a service that prints line by line costs twenty reads a second, not thousands. */
const GATHER_MS = 50;

/** Looked at without being told, too: a watched directory that is removed while somebody has it open is told of late or never. */
const LOOK_ANYWAY_MS = 1_000;

/** The old one counts too: while a log turns over, it is the only one for a moment. */
const LOG = /^([a-z][a-z0-9-]*?)(?:\.old)?\.log$/;

/** See Runtime.logs. `directory` is the instance's own directory of logs. */
export async function* readLogs(
  directory: string,
  options: { readonly follow: boolean; readonly tailLines: number; readonly signal: AbortSignal },
): AsyncGenerator<LogLine> {
  const { follow, tailLines, signal } = options;
  const tails = new Map<string, FileTail>();
  const changes = new Changes(directory, signal);
  try {
    const before = await newLines(directory, tails);
    yield* sorted(before).slice(Math.max(0, before.length - tailLines));
    if (!follow) return;
    while (await changes.next()) yield* sorted(await newLines(directory, tails));
  } finally {
    changes.close();
    for (const tail of tails.values()) await tail.close();
  }
}

/** What was written since the last time, of every source that there is by now; at first all that is kept. */
async function newLines(directory: string, tails: Map<string, FileTail>): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for (const source of await sourcesIn(directory)) {
    const tail = tails.get(source) ?? new FileTail(directory, source);
    tails.set(source, tail);
    lines.push(...(await tail.more()));
  }
  return lines;
}

/** Tells when something in a directory may have changed. */
class Changes {
  readonly #directory: string;
  readonly #signal: AbortSignal;
  readonly #watcher: FSWatcher | null;
  #hasChanged = false;
  #wake = () => {};

  constructor(directory: string, signal: AbortSignal) {
    this.#directory = directory;
    this.#signal = signal;
    const onChange = () => {
      this.#hasChanged = true;
      this.#wake();
    };
    try {
      this.#watcher = watch(directory, onChange);
      this.#watcher.on('error', onChange);
    } catch {
      // No such directory: nothing to follow.
      this.#watcher = null;
    }
    signal.addEventListener('abort', onChange, { once: true });
  }

  /** Waits for the next change, or a second. False when the signal has fired or the directory has gone. */
  async next(): Promise<boolean> {
    await sleep(GATHER_MS, undefined, { signal: this.#signal }).catch(() => {});
    if (this.#watcher === null || this.#signal.aborted) return false;
    if (!this.#hasChanged) await this.#changeOrPause();
    // Before looking: what changes while we look is then seen the next time.
    this.#hasChanged = false;
    return !this.#signal.aborted && isDirectory(this.#directory);
  }

  #changeOrPause(): Promise<void> {
    return new Promise((resolve) => {
      const pause = setTimeout(resolve, LOOK_ANYWAY_MS);
      this.#wake = () => {
        clearTimeout(pause);
        resolve();
      };
    });
  }

  close(): void {
    this.#watcher?.close();
  }
}

/** What was written to one log since the last look, also across its turning over; at the first look what stands in the old file, too. */
class FileTail {
  readonly #directory: string;
  readonly #source: string;
  #file: FileHandle | null = null;
  #offset = 0;
  #rest = '';
  #isFirst = true;

  constructor(directory: string, source: string) {
    this.#directory = directory;
    this.#source = source;
  }

  async more(): Promise<LogLine[]> {
    const old = this.#isFirst ? await this.#oldText() : '';
    this.#isFirst = false;
    let text = await this.#read();
    if (await this.#hasTurnedOver()) {
      // Its last lines may have come between our look and its turning over.
      text += await this.#read();
      await this.close();
      text += await this.#read();
    }
    return linesFrom(this.#source, old + this.#whole(text));
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
    this.#offset = 0;
  }

  /** The log is opened before, and so is not lost when it turns over meanwhile. */
  async #oldText(): Promise<string> {
    await this.#open();
    const old = await open(oldLogPath(this.#directory, this.#source)).catch(() => null);
    if (old === null) return '';
    try {
      // It did turn over: what is the old file now is what we have open.
      if ((await old.stat()).ino === (await this.#file?.stat())?.ino) return '';
      return await old.readFile('utf8');
    } finally {
      await old.close();
    }
  }

  async #read(): Promise<string> {
    await this.#open();
    if (this.#file === null) return '';
    const size = (await this.#file.stat()).size;
    const buffer = Buffer.alloc(Math.max(0, size - this.#offset));
    const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, this.#offset);
    this.#offset += bytesRead;
    return buffer.subarray(0, bytesRead).toString('utf8');
  }

  async #open(): Promise<void> {
    this.#file ??= await open(logPath(this.#directory, this.#source)).catch(() => null);
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
  return [...new Set(names.flatMap((name) => LOG.exec(name)?.[1] ?? []))];
}

async function isDirectory(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    () => false,
  );
}
