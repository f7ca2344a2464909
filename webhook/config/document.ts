/** The file itself: may it be trusted, is it TOML, and in which line does each key stand. */
import { closeSync, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';

/** One thing that is wrong. `line` null where it is about the file as a whole or about something outside of it. */
export interface Problem {
  readonly line: number | null;
  readonly key: string;
  readonly message: string;
}

export interface TomlDocument {
  /** Null when it could not be read; then `problems` says why. */
  readonly value: Readonly<Record<string, unknown>> | null;
  readonly problems: readonly Problem[];
  /** Permission bits of the file. */
  readonly mode: number;
  /** Line of a key (`gateway.port`, `grants[1].secrets`), or of the nearest thing around it that has one. */
  lineOf(key: string): number | null;
}

/** A berth.toml of a thousand repositories has 40 kB. */
const FILE_MAX_BYTES = 1024 * 1024;

/** Reads a TOML file that decides what may run. Never throws: whatever is wrong is among the problems. */
export function readTomlDocument(file: string, howToMakeOne: string): TomlDocument {
  const refused = (message: string): TomlDocument => ({
    value: null,
    problems: [{ line: null, key: '', message }],
    mode: 0,
    lineOf: () => null,
  });
  let text: string;
  let mode: number;
  try {
    ({ text, mode } = readTrustedFile(file));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (error instanceof Untrusted) return refused(error.message);
    if (code === 'ENOENT' || code === 'ENOTDIR') return refused(`there is no such file. ${howToMakeOne}`);
    return refused(`cannot be read (${code ?? 'unknown reason'})`);
  }
  if (text.replace(/^\uFEFF/, '').trim() === '') return refused(`is empty. ${howToMakeOne}`);
  try {
    const value = parse(text);
    const lines = keyLines(text);
    return { value, problems: [], mode, lineOf: (key) => lineOfKey(lines, key) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = (error.message.split('\n')[0] ?? '').replace('Invalid TOML document: ', '');
    const key = /^\s*([^=\s]+)\s*=/.exec(text.split('\n')[error.line - 1] ?? '')?.[1] ?? '';
    const shown = message.includes('redefine') ? 'stands twice; keep one of them' : `is not TOML here: ${message}`;
    return { value: null, problems: [{ line: error.line, key, message: shown }], mode, lineOf: () => null };
  }
}

/** Thrown for a file that exists but must not be believed. */
export class Untrusted extends Error {}

/**
 * The text of a regular file that belongs to us or to root, cannot be written by everybody, and is valid UTF-8. A symbolic link must belong to us
 * or to root too: whoever owns it decides what we read. Throws Untrusted, or the error of the file system.
 */
export function readTrustedFile(file: string): { text: string; mode: number } {
  const link = lstatSync(file);
  if (link.isSymbolicLink() && !isOurs(link.uid))
    throw new Untrusted(
      'is a symbolic link that belongs to another user. Name the file itself, or make the link yours.',
    );
  // Opening a FIFO would wait for a writer, so it is looked at first.
  if (!link.isSymbolicLink() && !link.isFile()) throw new Untrusted(notAFile(link.isDirectory()));
  const descriptor = openSync(file, 'r');
  try {
    // Looked at once more through the descriptor: this is the file that is read, whatever the name points at by now.
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new Untrusted(notAFile(stat.isDirectory()));
    if (!isOurs(stat.uid))
      throw new Untrusted(`belongs to another user (uid ${stat.uid}). It must be yours or root’s.`);
    if ((stat.mode & 0o002) !== 0) throw new Untrusted('can be written by everybody. Run: chmod o-w on it.');
    if (stat.size > FILE_MAX_BYTES) throw new Untrusted(`is larger than ${FILE_MAX_BYTES} bytes.`);
    const bytes = readFileSync(descriptor);
    const text = bytes.toString('utf8');
    if (!Buffer.from(text, 'utf8').equals(bytes)) throw new Untrusted('is not UTF-8 text.');
    return { text, mode: stat.mode & 0o777 };
  } finally {
    closeSync(descriptor);
  }
}

const isOurs = (uid: number) => uid === 0 || uid === process.geteuid?.();
const notAFile = (isDirectory: boolean) =>
  isDirectory ? 'is a directory; a file is needed.' : 'is not a regular file.';

const KEY_PART = String.raw`(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')`;
const HEADER = new RegExp(String.raw`^\s*(\[\[?)\s*(${KEY_PART}(?:\s*\.\s*${KEY_PART})*)\s*\]`);
const ASSIGNMENT = new RegExp(String.raw`^\s*(${KEY_PART}(?:\s*\.\s*${KEY_PART})*)\s*=(.*)$`);

/** Lines of tables and keys, by name; smol-toml tells positions only of what it cannot parse. The text is known to be TOML. */
function keyLines(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  const counts = new Map<string, number>();
  let table = '';
  let quotes: string | null = null;
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (quotes !== null) {
      if (line.includes(quotes)) quotes = null;
      continue;
    }
    const header = HEADER.exec(line);
    const assignment = ASSIGNMENT.exec(line);
    if (header !== null) {
      table = plainKey(header[2] ?? '');
      if (header[1] === '[[') {
        const count = counts.get(table) ?? 0;
        counts.set(table, count + 1);
        if (count === 0) lines.set(table, index + 1);
        table = `${table}[${count}]`;
      }
      lines.set(table, index + 1);
    } else if (assignment !== null) {
      const key = plainKey(assignment[1] ?? '');
      lines.set(table === '' ? key : `${table}.${key}`, index + 1);
      const opened = /"""|'''/.exec(assignment[2] ?? '')?.[0];
      if (opened !== undefined && (assignment[2] ?? '').split(opened).length === 2) quotes = opened;
    }
  }
  return lines;
}

function plainKey(text: string): string {
  return Array.from(text.matchAll(new RegExp(KEY_PART, 'g')), ([part]) => part.replace(/^["']|["']$/g, '')).join('.');
}

function lineOfKey(lines: ReadonlyMap<string, number>, key: string): number | null {
  for (let at = key; ; ) {
    const line = lines.get(at);
    if (line !== undefined) return line;
    const around = at.replace(/(?:^|\.)[^.[]*$|\[\d+\]$/, '');
    if (around === at) return null;
    at = around;
  }
}

/** A path of zod as people write keys: `grants[0].secrets[1]`. */
export function keyOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    '',
  );
}
