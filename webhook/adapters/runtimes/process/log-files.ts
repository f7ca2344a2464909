/**
 * The log of one source (a service, or setup) in two files of half the allowed size: `web.log`, and `web.old.log` with what came before.
 * A line is `<milliseconds since 1970> <text>`. Beyond a rate, lines are dropped and counted, but for the last ones; beyond a higher one, the source is not
 * read, so that it waits in its own write and neither our processor nor our memory pays for its flood.
 */
import { closeSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import {
  FAILURE_TAIL_LINES,
  LOG_FILE_MAX_BYTES,
  LOG_KEPT_BYTES_PER_SECOND,
  LOG_READ_BYTES_PER_SECOND,
} from '../../../core/limits.ts';
import { LineSplitter } from './log-lines.ts';

const RATE_WINDOW_MS = 1_000;

export function logPath(directory: string, source: string): string {
  return join(directory, `${source}.log`);
}

export function oldLogPath(directory: string, source: string): string {
  return join(directory, `${source}.old.log`);
}

/** Beginning of the lines that are ours and not the app's. */
const OWN_LINE = '[berth]';

interface LogWindow {
  readBytes: number;
  keptBytes: number;
  dropped: number;
  /** The last lines beyond the limit. */
  readonly last: string[];
}

export class LogFile {
  readonly #directory: string;
  readonly #source: string;
  readonly #onLine: (line: string) => void;
  #file: number;
  #size: number;
  #window: LogWindow | null = null;
  readonly #paused = new Set<Readable>();

  /** Goes on where the file ends, or begins anew. `onLine` hears each line that is kept. */
  constructor(directory: string, source: string, options: { anew?: boolean; onLine?: (line: string) => void } = {}) {
    this.#directory = directory;
    this.#source = source;
    this.#onLine = options.onLine ?? (() => {});
    if (options.anew === true) {
      rmSync(oldLogPath(directory, source), { force: true });
      rmSync(logPath(directory, source), { force: true });
    }
    this.#file = openSync(logPath(directory, source), 'a', 0o600);
    this.#size = statSync(logPath(directory, source)).size;
  }

  /** Writes what the stream says until it ends. */
  follow(stream: Readable): void {
    const splitter = new LineSplitter();
    stream.on('data', (chunk: Buffer) => {
      const window = this.#currentWindow();
      window.readBytes += chunk.length;
      if (window.readBytes > LOG_READ_BYTES_PER_SECOND) {
        stream.pause();
        this.#paused.add(stream);
      }
      this.#keep(splitter.add(chunk));
    });
    stream.on('end', () => this.#keep(splitter.end()));
    stream.on('error', () => {});
  }

  /** A line of ours, about the source. */
  note(text: string): void {
    this.#write([`${OWN_LINE} ${text}`]);
  }

  /** Writes at once what a flood holds back: its last lines, which usually say why it ended. */
  flush(): void {
    this.#endWindow();
  }

  close(): void {
    this.#endWindow();
    closeSync(this.#file);
    this.#file = -1;
  }

  #keep(lines: readonly string[]): void {
    const window = this.#currentWindow();
    const kept: string[] = [];
    for (const line of lines) {
      const bytes = Buffer.byteLength(line) + 1;
      // A short line after the first that was too much would otherwise stand before it.
      if (window.last.length > 0 || window.keptBytes + bytes > LOG_KEPT_BYTES_PER_SECOND) {
        window.last.push(line);
        if (window.last.length > FAILURE_TAIL_LINES) {
          window.last.shift();
          window.dropped += 1;
        }
      } else {
        window.keptBytes += bytes;
        kept.push(line);
      }
    }
    this.#write(kept);
  }

  #currentWindow(): LogWindow {
    if (this.#window === null) {
      this.#window = { readBytes: 0, keptBytes: 0, dropped: 0, last: [] };
      setTimeout(() => this.#endWindow(), RATE_WINDOW_MS).unref();
    }
    return this.#window;
  }

  #endWindow(): void {
    const { dropped = 0, last = [] } = this.#window ?? {};
    this.#window = null;
    if (dropped > 0) {
      const limit = `${LOG_KEPT_BYTES_PER_SECOND / 1024} KiB a second`;
      this.note(`${dropped} lines were dropped here: more than ${limit} is not kept`);
    }
    this.#write(last);
    for (const stream of this.#paused) stream.resume();
    this.#paused.clear();
  }

  #write(lines: readonly string[]): void {
    if (lines.length === 0 || this.#file === -1) return;
    const now = Date.now();
    const bytes = Buffer.from(lines.map((line) => `${now} ${line}\n`).join(''));
    if (this.#size + bytes.length > LOG_FILE_MAX_BYTES / 2) this.#turnOver();
    this.#size += bytes.length;
    try {
      writeSync(this.#file, bytes);
    } catch {
      // A full disk must end neither the app nor its supervisor; what cannot be written is lost.
    }
    for (const line of lines) this.#onLine(line);
  }

  #turnOver(): void {
    closeSync(this.#file);
    renameSync(logPath(this.#directory, this.#source), oldLogPath(this.#directory, this.#source));
    this.#file = openSync(logPath(this.#directory, this.#source), 'a', 0o600);
    this.#size = 0;
  }
}
