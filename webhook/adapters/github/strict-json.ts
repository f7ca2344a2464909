/**
 * JSON of a sender, read more strictly than JSON.parse does: what two readers could understand differently is refused, not repaired.
 */
import { isUtf8 } from 'node:buffer';

/** GitHub's payloads nest 8 deep; a stack overflow needs thousands. */
const DEPTH_MAX = 64;

/**
 * Characters of a text that is parsed before it is known how deep it nests; GitHub's are mostly below 40,000. Half a million open brackets cost JSON.parse
 * tens of megabytes for a moment, 25 million a gigabyte.
 */
const PARSED_UNSEEN_MAX = 500_000;

/** The reason is for the sender: it names no value of the text. */
export class JsonRefused extends Error {
  override readonly name = 'JsonRefused';
}

/**
 * The value that the bytes spell. Throws JsonRefused for: invalid UTF-8, a byte order mark, anything that is not exactly one JSON value, nesting
 * beyond 64, an object that names a member twice, a member called `__proto__`, a number beyond the range of a double, half a surrogate pair.
 */
export function parseStrictJson(bytes: Buffer): unknown {
  return parseStrictJsonText(decodeUtf8(bytes));
}

/**
 * As parseStrictJson, for text that was decoded already (a form field). JSON.parse keeps the last of two members of one name. So nothing was lost when
 * the text is as long as its value needs at least, which every text of GitHub's is; where it is longer, its members are counted.
 */
export function parseStrictJsonText(text: string): unknown {
  const counted = text.length > PARSED_UNSEEN_MAX ? countMembers(text) : null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new JsonRefused('The body is not one JSON value.');
  }
  const needed = checkedLength(value, { hasEscapes: text.includes('\\u'), depth: 0 });
  if (needed !== lengthWithoutEscapes(text) && membersOf(value) !== (counted ?? countMembers(text)))
    throw new JsonRefused('An object in the body names a member twice.');
  return value;
}

export function decodeUtf8(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new JsonRefused('The body is not UTF-8.');
  return bytes.toString();
}

/** How long a JSON text would be if nothing in its strings were escaped. */
function lengthWithoutEscapes(text: string): number {
  let length = text.length;
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', at + 2))
    length -= text[at + 1] === 'u' ? '\\u0000'.length - 1 : 1;
  return length;
}

interface Place {
  /** Text that was decoded from UTF-8 can hold half a surrogate pair only where one was written as an escape: without any, no string has to be looked at. */
  readonly hasEscapes: boolean;
  /** Of containers around it. */
  readonly depth: number;
}

/** Length of the shortest text without escapes that spells the value, or less; each value within is checked on the way. */
function checkedLength(value: unknown, place: Place): number {
  if (typeof value === 'string') {
    if (place.hasEscapes && !value.isWellFormed())
      throw new JsonRefused('A text in the body has half a surrogate pair.');
    return value.length + 2;
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new JsonRefused('A number in the body is out of range.');
    return lengthOfNumber(value);
  }
  if (typeof value === 'object' && value !== null) return checkedContainer(value, place);
  return value === false ? 5 : 4;
}

/** Exact for most integers. Others may have been spelled in fewer characters than we would (1e9), so 1 is all that is certain. */
function lengthOfNumber(value: number): number {
  // An exponent saves nothing below three zeros.
  return Number.isSafeInteger(value) && value % 1_000 !== 0 ? String(value).length : 1;
}

function checkedContainer(container: object, { hasEscapes, depth }: Place): number {
  if (depth === DEPTH_MAX) throw tooDeep();
  const inside = { hasEscapes, depth: depth + 1 };
  if (Array.isArray(container)) {
    // A comma or bracket for each, and the bracket before.
    let length = 1 + Math.max(1, container.length);
    for (const item of container) length += checkedLength(item, inside);
    return length;
  }
  let length = 1;
  for (const key in container) {
    if (key === '__proto__') throw new JsonRefused('A member in the body is called __proto__.');
    length += key.length + 4 + checkedLength((container as Record<string, unknown>)[key], inside);
  }
  return Math.max(2, length);
}

function tooDeep(): JsonRefused {
  return new JsonRefused(`The body is nested more than ${DEPTH_MAX} deep.`);
}

/** How many members all objects in the value have together. */
function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inside: unknown[] = Object.values(value);
  return inside.reduce<number>((members, each) => members + membersOf(each), Array.isArray(value) ? 0 : inside.length);
}

/** How many members all objects of the text have together: a colon outside of a string is one. Throws when the text nests too deep, wherever it ends. */
function countMembers(text: string): number {
  let members = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = endOfString(text, at);
    } else if (code === 0x3a) {
      members += 1;
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > DEPTH_MAX) throw tooDeep();
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
    }
  }
  return members;
}

/** Index of the quote that ends the string that starts at `start`; the end of the text when none does. Most of a payload is strings: jump. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end < 0 ? text.length : end;
}

/** An odd number of backslashes before it. */
function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes += 1;
  return backslashes % 2 === 1;
}
