/**
 * JSON of a sender, read more strictly than JSON.parse does: what two readers could understand differently is refused, not repaired.
 */
import { isUtf8 } from 'node:buffer';

/** GitHub's payloads nest 8 deep; a stack overflow needs thousands. */
const DEPTH_MAX = 64;

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

/** As parseStrictJson, for text that was decoded already (a form field). */
export function parseStrictJsonText(text: string): unknown {
  const members = countMembers(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new JsonRefused('The body is not one JSON value.');
  }
  if (checkedMembers(value, text.includes('\\u')) !== members)
    throw new JsonRefused('An object in the body names a member twice.');
  return value;
}

export function decodeUtf8(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new JsonRefused('The body is not UTF-8.');
  return bytes.toString();
}

/**
 * How many members all objects of the text have together: a colon outside of a string is one. JSON.parse keeps the last of two members
 * of one name, so that fewer members afterwards mean that there were duplicates. One pass, before anything is built: a body of 25 MB of
 * `[` ends here.
 */
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
      if (depth > DEPTH_MAX) throw new JsonRefused(`The body is nested more than ${DEPTH_MAX} deep.`);
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

/**
 * The number of members of all objects in the value, each value checked on the way. Text that was decoded from UTF-8 can hold half a surrogate
 * pair only where one was written as an escape: without any, no string has to be looked at.
 */
function checkedMembers(value: unknown, hasEscapes: boolean): number {
  if (typeof value === 'string') {
    if (hasEscapes && !value.isWellFormed()) throw new JsonRefused('A text in the body has half a surrogate pair.');
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new JsonRefused('A number in the body is out of range.');
  } else if (typeof value === 'object' && value !== null) {
    return membersWithin(value, hasEscapes);
  }
  return 0;
}

function membersWithin(container: object, hasEscapes: boolean): number {
  let members = 0;
  if (Array.isArray(container)) {
    for (const item of container) members += checkedMembers(item, hasEscapes);
    return members;
  }
  for (const key in container) {
    if (key === '__proto__') throw new JsonRefused('A member in the body is called __proto__.');
    members += 1 + checkedMembers((container as Record<string, unknown>)[key], hasEscapes);
  }
  return members;
}
