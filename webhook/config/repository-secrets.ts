/** Values of the apps' secrets: their own file, so that nothing of the operator's can ever be asked for by name. */
import { isAbsolute, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { Secret } from '../core/secret.ts';
import { credentialFile, readSecretFile, type FoundSecret, type SecretSurroundings } from './credentials.ts';
import type { Problem } from './document.ts';
import type { ConfigFile } from './schema.ts';

/** Which names a repository (or `owner/*`) may ask for. */
export interface SecretGrant {
  readonly repository: string;
  readonly secrets: readonly string[];
}

export interface RepositorySecretValues {
  /** For every repository that may have the name. */
  readonly shared: Readonly<Record<string, Secret>>;
  /** By `owner/name` in lower case: values of one repository alone. */
  readonly own: Readonly<Record<string, Readonly<Record<string, Secret>>>>;
}

const NONE: RepositorySecretValues = { shared: {}, own: {} };

const valuesSchema = z.record(z.string(), z.union([z.string(), z.record(z.string(), z.string())]));

/** Reads the values and compares them with what was granted. A name without a value would fail at the first pull request: it fails here. */
export function readRepositorySecrets(
  around: SecretSurroundings,
  file: Pick<ConfigFile, 'secrets' | 'grants'>,
  operatorSecrets: Iterable<FoundSecret>,
): { values: RepositorySecretValues; problems: Problem[] } {
  const key = 'secrets.values_file';
  const line = around.document.lineOf(key);
  const found = findText(around, file.secrets.values_file);
  if (found !== null && 'problem' in found) return { values: NONE, problems: [{ line, key, message: found.problem }] };
  const parsed = found === null ? { values: NONE } : parseValues(found.text, found.from);
  if ('problem' in parsed) return { values: NONE, problems: [{ line, key, message: parsed.problem }] };
  const { values } = parsed;
  return {
    values,
    problems: [...missingValues(around, file.grants, values), ...leaks(values, operatorSecrets, { line, key })],
  };
}

function findText(
  around: SecretSurroundings,
  valuesFile: string | undefined,
): { text: string; from: string } | { problem: string } | null {
  const credential = credentialFile(around.env, 'repository-secrets');
  if (credential !== null)
    return 'problem' in credential
      ? { problem: `${credential.file} ${credential.problem}` }
      : { text: credential.text, from: credential.file };
  if (valuesFile === undefined) return null;
  const read = readSecretFile(isAbsolute(valuesFile) ? valuesFile : resolve(around.directory, valuesFile));
  return 'problem' in read ? { problem: `${valuesFile} ${read.problem}` } : { text: read.text, from: valuesFile };
}

function parseValues(text: string, from: string): { values: RepositorySecretValues } | { problem: string } {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Not the library's message: it shows the line, which holds a secret.
    return { problem: `${from}:${error.line} is not TOML.` };
  }
  const parsed = valuesSchema.safeParse(value);
  if (!parsed.success) {
    const keys = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
    return { problem: `${from}: ${keys} must be text, or a table ["owner/name"] of texts.` };
  }
  const shared: Record<string, Secret> = {};
  const own: Record<string, Record<string, Secret>> = {};
  for (const [name, entry] of Object.entries(parsed.data)) {
    if (typeof entry === 'string') shared[name] = new Secret(entry);
    else
      own[name.toLowerCase()] = Object.fromEntries(Object.entries(entry).map(([key, text]) => [key, new Secret(text)]));
  }
  return { values: { shared, own } };
}

function missingValues(
  around: SecretSurroundings,
  grants: readonly SecretGrant[],
  values: RepositorySecretValues,
): Problem[] {
  return grants.flatMap((grant, index) =>
    grant.secrets
      .filter((name) => !Object.hasOwn(values.shared, name))
      .filter((name) => !Object.hasOwn(values.own[grant.repository.toLowerCase()] ?? {}, name))
      .map((name) => ({
        line: around.document.lineOf(`grants[${index}].secrets`),
        key: `grants[${index}].secrets`,
        message: `no value is given for ${name}. Add ${name} = "…" to the file that secrets.values_file names.`,
      })),
  );
}

/** An app's secret with the value of one of ours is a mistake that gives our rights away (promise S5). */
function leaks(
  values: RepositorySecretValues,
  operatorSecrets: Iterable<FoundSecret>,
  where: { line: number | null; key: string },
): Problem[] {
  const ours = new Map(Array.from(operatorSecrets, (found) => [found.secret.reveal(), found.from]));
  const all = [values.shared, ...Object.values(values.own)].flatMap((group) => Object.entries(group));
  return all.flatMap(([name, secret]) => {
    const from = ours.get(secret.reveal());
    return from === undefined
      ? []
      : [{ ...where, message: `${name} has the same value as our own ${from}. Apps must not get it.` }];
  });
}
