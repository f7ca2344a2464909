/** From the bytes that an app prints to lines that are safe to show anywhere. */
import { StringDecoder } from 'node:string_decoder';
import { LOG_LINE_MAX_BYTES } from '../../../core/limits.ts';

// Colours and cursor movements (ECMA-48: CSI, OSC and two-character escapes) go whole, so that no `[31m` stays behind.
// eslint-disable-next-line no-control-regex -- control characters are what is removed
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;

// What is left of C0 and C1, line separators, and the characters that reorder text around them.
// eslint-disable-next-line no-control-regex -- control characters are what is removed
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The text without control characters, a tab as two spaces, of at most LOG_LINE_MAX_BYTES. */
export function cleanLine(text: string): string {
  const clean = text.replaceAll('\t', '  ').replace(ESCAPES, '').replace(CONTROLS, '').trimEnd();
  return Buffer.byteLength(clean) <= LOG_LINE_MAX_BYTES ? clean : `${cutTo(clean, LOG_LINE_MAX_BYTES - 3)}…`;
}

function cutTo(text: string, bytes: number): string {
  // A character cut in half at the end decodes to U+FFFD, and is dropped.
  return Buffer.from(text)
    .subarray(0, bytes)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}

/** Splits one stream into clean lines. A line without an end is held up to a bound; what is beyond it is thrown away. */
export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  /** The lines that the chunk completes. A carriage return ends one too: progress bars rewrite theirs. */
  add(chunk: Buffer): string[] {
    const parts = (this.#rest + this.#decoder.write(chunk)).split(/\r\n|\n|\r(?!$)/);
    // Twice the bound, because escapes and controls are still in it.
    this.#rest = (parts.pop() ?? '').slice(0, 2 * LOG_LINE_MAX_BYTES);
    return parts.map(cleanLine);
  }

  /** The unfinished line at the end of the stream, if there is one. */
  end(): string[] {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = '';
    return rest === '' ? [] : [cleanLine(rest)];
  }
}
