import { styleText } from 'node:util';
import type { OperatorError } from '../../core/errors.ts';

type Tone = 'green' | 'yellow' | 'red' | 'blue' | 'dim';

/** Text with a colour, for `line`. */
export interface Painted {
  readonly tone: Tone;
  readonly text: string;
}

/**
 * The two streams. Standard output carries the result alone (lines for people, or one JSON document per command, or per line of a stream); progress
 * and errors go to standard error. Colours only on a terminal. Nothing that came from outside can steer the terminal.
 */
export class Output {
  readonly isJson: boolean;
  #isUnread = false;

  constructor(isJson: boolean) {
    this.isJson = isJson;
    process.stdout.on('error', (error) => this.#stdoutFailed(error));
    // What cannot be told is not told. The work goes on, and its status says how it ended.
    process.stderr.on('error', () => undefined);
  }

  /** Whether whoever read standard output has had enough (`preview logs … | head`). That is no failure: what only prints ends then. */
  get isUnread(): boolean {
    return this.#isUnread;
  }

  /** A line of the result, for people. Resolves when the reader keeps up. */
  line(...parts: readonly (string | Painted)[]): Promise<void> {
    if (this.isJson) return Promise.resolve();
    const texts = parts.map((part) => (typeof part === 'string' ? printable(part) : painted(part, process.stdout)));
    return this.#print(process.stdout, `${texts.join('')}\n`);
  }

  /** The result, for programs. */
  document(value: object): Promise<void> {
    return this.isJson ? this.#print(process.stdout, `${printableJson(value)}\n`) : Promise.resolve();
  }

  /** Byte for byte, for what a command inside a preview prints. Resolves when the reader keeps up. */
  raw(stream: 'stdout' | 'stderr', data: Buffer): Promise<void> {
    return this.#print(process[stream], data);
  }

  info(text: string): void {
    this.#note('blue', '[INFO]', text);
  }

  ok(text: string): void {
    this.#note('green', '[OK]', text);
  }

  warn(text: string): void {
    this.#note('yellow', '[WARN]', text);
  }

  /** An error, in either form. In JSON it is the command's document. */
  async error({ code, message, hint }: Pick<OperatorError, 'code' | 'message' | 'hint'>): Promise<void> {
    await this.document({ error: { code, message, hint } });
    if (this.isJson) return;
    process.stderr.write(
      `${painted({ tone: 'red', text: '[ERROR]' }, process.stderr)} ${printable(message).replaceAll('\n', '\\n')}\n`,
    );
    if (hint !== '') process.stderr.write(`        ${printable(hint)}\n`);
  }

  /** Resolves when it is written, or cannot be. */
  #print(stream: NodeJS.WriteStream, data: string | Buffer): Promise<void> {
    return new Promise((resolve) => {
      stream.write(data, (error) => {
        if (error != null && stream === process.stdout) this.#stdoutFailed(error);
        resolve();
      });
    });
  }

  /** A result that does not arrive is a failure, unless nobody wants to read it. */
  #stdoutFailed({ code, message }: NodeJS.ErrnoException): void {
    if (code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED') {
      this.#isUnread = true;
      return;
    }
    const label = painted({ tone: 'red', text: '[ERROR]' }, process.stderr);
    process.stderr.write(`${label} Standard output cannot be written to (${printable(message)}).\n`);
    process.exit(1);
  }

  #note(tone: Tone, label: string, text: string): void {
    if (!this.isJson) process.stderr.write(`${painted({ tone, text: label }, process.stderr)} ${printable(text)}\n`);
  }
}

function painted({ tone, text }: Painted, stream: NodeJS.WriteStream): string {
  return styleText(tone, printable(text), { stream });
}

// Control characters (they move cursors and set colours) and what hides or turns around text: zero-width and bidirectional marks.
const UNPRINTABLE = /(?!\n)[\p{Cc}\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** Text of others, made harmless for a terminal: what is not printed is shown as its code point. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** One line of JSON that a terminal may be shown as well: JSON escapes the control characters of ASCII only. */
function printableJson(value: object): string {
  return printable(JSON.stringify(value));
}
