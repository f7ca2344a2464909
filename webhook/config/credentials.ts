/**
 * Where secrets come from, the first that is there: the environment (BERTH_GITHUB_TOKEN), a systemd credential
 * ($CREDENTIALS_DIRECTORY/github-token), a file that berth.toml names (github.token_file), berth.toml itself (github.token) if nobody
 * but us may read it.
 */
import { isAbsolute, join, resolve } from 'node:path';
import { Secret } from '../core/secret.ts';
import { readTrustedFile, Untrusted, type Problem, type TomlDocument } from './document.ts';

/** Every secret of the operator: its key in berth.toml, its name as a credential, its environment variable. */
export const SECRET_SOURCES = [
  { section: 'github', key: 'webhook_secret', credential: 'github-webhook-secret' },
  { section: 'github', key: 'webhook_secret_previous', credential: 'github-webhook-secret-previous' },
  { section: 'github', key: 'token', credential: 'github-token' },
  { section: 'github', key: 'app_private_key', credential: 'github-app-private-key' },
  { section: 'state', key: 'database_url', credential: 'database-url' },
] as const;

export type SecretName = (typeof SECRET_SOURCES)[number]['credential'];

/** `github-token` → `BERTH_GITHUB_TOKEN`; the database's has the name that everything else uses too. */
export function variableOf(credential: string): string {
  return credential === 'database-url' ? 'DATABASE_URL' : `BERTH_${credential.toUpperCase().replaceAll('-', '_')}`;
}

export interface FoundSecret {
  readonly secret: Secret;
  /** Where it came from, in words for an error: the key, the variable, the file. */
  readonly from: string;
  readonly line: number | null;
}

export interface GivenSecrets {
  readonly found: ReadonlyMap<SecretName, FoundSecret>;
  /** Given, but in a way that we do not take; that they are missing need not be said as well. */
  readonly refused: ReadonlySet<SecretName>;
}

export interface SecretSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What relative paths are relative to. */
  readonly directory: string;
  readonly document: TomlDocument;
}

/** All secrets that are given, and what is wrong with how they are given. */
export function findSecrets(around: SecretSurroundings): GivenSecrets & { problems: Problem[] } {
  const problems = misspelledVariables(around.env);
  const found = new Map<SecretName, FoundSecret>();
  const refused = new Set<SecretName>();
  for (const source of SECRET_SOURCES) {
    const result = findSecret(around, source);
    if (result === null) continue;
    if ('secret' in result) found.set(source.credential, result);
    else {
      refused.add(source.credential);
      problems.push(result);
    }
  }
  return { found, refused, problems };
}

function findSecret(around: SecretSurroundings, source: (typeof SECRET_SOURCES)[number]): FoundSecret | Problem | null {
  const { env, document } = around;
  const variable = variableOf(source.credential);
  const key = `${source.section}.${source.key}`;
  const section = document.value?.[source.section];
  const given = (typeof section === 'object' && section !== null ? section : {}) as Record<string, unknown>;
  const inline = given[source.key];
  // Said also when another source comes first: whoever reads the file has the secret.
  if (typeof inline === 'string' && (document.mode & 0o044) !== 0) {
    const message = `is a secret in a file that others may read (mode 0${document.mode.toString(8)}). Run: chmod 600 on the file, or give it as ${variable} or ${source.key}_file.`;
    return { line: document.lineOf(key), key, message };
  }

  const fromEnvironment = env[variable];
  if (fromEnvironment !== undefined) return checked({ from: variable, line: null }, fromEnvironment);

  const credential = credentialFile(env, source.credential);
  if (credential !== null) {
    const where = { from: credential.file, line: null };
    return 'problem' in credential
      ? { line: null, key: where.from, message: credential.problem }
      : checked(where, credential.text);
  }

  const file = given[`${source.key}_file`];
  if (typeof file === 'string' && file !== '') {
    const where = { from: `${key}_file`, line: document.lineOf(`${key}_file`) };
    const read = readSecretFile(isAbsolute(file) ? file : resolve(around.directory, file));
    return 'problem' in read
      ? { line: where.line, key: where.from, message: `${file} ${read.problem}` }
      : checked(where, read.text);
  }
  return typeof inline === 'string' ? checked({ from: key, line: document.lineOf(key) }, inline) : null;
}

function checked(where: { from: string; line: number | null }, value: string): FoundSecret | Problem {
  // What an editor or `echo` puts at the end is not part of it.
  const text = value.replace(/\r?\n$/, '');
  if (text === '') return { line: where.line, key: where.from, message: 'is empty. Give it a value, or remove it.' };
  if (text.includes('\0')) return { line: where.line, key: where.from, message: 'must not hold NUL.' };
  return { ...where, secret: new Secret(text) };
}

/**
 * A file that systemd made for us (LoadCredential=), or what is wrong with it; null where there is none. Its directory is ours alone, whatever the
 * mode of the file.
 */
export function credentialFile(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
): { file: string; text: string } | { file: string; problem: string } | null {
  const directory = env['CREDENTIALS_DIRECTORY'];
  if (directory === undefined || directory === '') return null;
  const file = join(directory, name);
  const read = readGivenFile(file);
  if ('text' in read) return { file, text: read.text };
  return read.isMissing ? null : { file, problem: read.problem };
}

/** The text of a file that nobody but us can read, or what is wrong with it. */
export function readSecretFile(file: string): { text: string } | { problem: string } {
  const read = readGivenFile(file);
  if ('problem' in read || (read.mode & 0o077) === 0) return read;
  return { problem: `may be read by others (mode 0${read.mode.toString(8)}). Run: chmod 600 on it.` };
}

function readGivenFile(file: string): { text: string; mode: number } | { problem: string; isMissing: boolean } {
  try {
    return readTrustedFile(file);
  } catch (error) {
    if (error instanceof Untrusted) return { problem: error.message, isMissing: false };
    const code = (error as NodeJS.ErrnoException).code;
    const isMissing = code === 'ENOENT';
    return { problem: isMissing ? 'does not exist.' : `cannot be read (${code ?? 'unknown reason'}).`, isMissing };
  }
}

/** A variable that looks like one of ours and is none would silently do nothing. */
function misspelledVariables(env: SecretSurroundings['env']): Problem[] {
  const known = new Set(SECRET_SOURCES.map((source) => variableOf(source.credential)));
  return Object.keys(env)
    .filter((name) => name.startsWith('BERTH_GITHUB_') && !known.has(name))
    .map((name) => ({
      line: null,
      key: name,
      message: `is not a variable that we know. There are ${[...known].join(', ')}.`,
    }));
}
