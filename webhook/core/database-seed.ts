/** A seed: the SQL file of a repository that a preview's database begins with. Stranger's text, which is only ever sent to PostgreSQL as it is. */
import { createHash } from 'node:crypto';
import { OperatorError } from './errors.ts';
import type { TemplateName } from './names.ts';

/** What a new database begins with: a copy of the template, which is made before where there is none; once, however many ask. */
export interface DatabaseSeed {
  /** Of this repository and this text alone. */
  readonly template: TemplateName;
  /** The file, for messages. */
  readonly path: string;
  /** The text, which is asked for only where there is no such template yet. */
  read(): Promise<string>;
  /** How much the template may hold. */
  readonly maxBytes: number;
  /** Ends the loading. */
  readonly signal: AbortSignal;
}

/**
 * The statements of a seed's file. Lines that pg_dump (since the releases of August 2025) writes for psql alone become empty, which keeps the
 * others' numbers. Throws SEED_FAILED for what PostgreSQL could not be sent whole.
 */
export function seedFrom(path: string, text: string | null): string {
  if (text === null) throw seedError(`The repository has no file ${path}, which databaseSeed names.`);
  if (text.includes('\0')) throw seedError(`${path} holds a NUL character.`);
  // What git's bytes become where they are not UTF-8.
  if (text.includes('\uFFFD')) throw seedError(`${path} is not UTF-8.`);
  return text.replace(/^\uFEFF/, '').replace(/^\\(?:un)?restrict [A-Za-z0-9]+\r?$/gm, '');
}

export function seedHashOf(seed: string): string {
  return createHash('sha256').update(seed).digest('hex');
}

/** What PostgreSQL said of the seed. `position`, where it knows one, counts characters from 1. */
export function refusedSeedError(
  path: string,
  seed: string,
  { message, position }: { message: string; position?: string | undefined },
): OperatorError {
  const line = position === undefined ? '' : `, line ${lineAt(seed, Number(position))}`;
  return seedError(`The seed ${path}${line} was refused by PostgreSQL.`, message.slice(0, 2_000));
}

export function seedError(message: string, detail?: string): OperatorError {
  return new OperatorError('SEED_FAILED', message, detail === undefined ? {} : { detail });
}

function lineAt(text: string, position: number): number {
  let line = 1;
  let at = 1;
  for (const character of text) {
    if (at >= position) break;
    at += 1;
    if (character === '\n') line += 1;
  }
  return line;
}
