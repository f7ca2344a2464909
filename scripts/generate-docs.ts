/**
 * `npm run docs`: writes every page that is made from code. `--check` writes nothing and fails when a committed page differs; `npm run check` and
 * test/docs.test.ts use that.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { stringify } from 'smol-toml';
import { z } from 'zod';
import {
  COMMANDS,
  COMMON_OPTIONS,
  EXIT_TEXTS,
  OPTIONS,
  type CommandSpec,
  type OptionName,
} from '../webhook/commands/preview/command-table.ts';
import { helpText, optionUsage, usageOf } from '../webhook/commands/preview/help.ts';
import { SECRET_SOURCES, variableOf } from '../webhook/config/credentials.ts';
import { exampleText, explainedSections, type ExplainedSection } from '../webhook/config/explain.ts';
import { appManifestSchema } from '../webhook/core/app-manifest.ts';
import { REFUSED_NAMES, REFUSED_PREFIXES } from '../webhook/core/environment-names.ts';
import { ERROR_CODES, type Retry } from '../webhook/core/errors.ts';
import { hostFlagsPage } from './nix/flags-page.ts';

const root = resolve(import.meta.dirname, '..');
const GENERATED = '<!-- Made by `npm run docs`; change the source that is named below. -->';

/** Path below the root → what has to stand in it. */
function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['berth.example.toml', exampleText()],
    ['docs/reference/configuration.md', configurationPage()],
    ['docs/reference/preview.schema.json', `${JSON.stringify(manifestJsonSchema(), null, 2)}\n`],
    ['docs/reference/app-manifest.md', manifestPage()],
    ['docs/reference/cli.md', cliPage()],
    ['docs/reference/errors.md', errorsPage()],
    ['docs/reference/host-flags.md', hostFlagsPage()],
  ]);
}

/** Paths whose committed text differs from what the code says. */
export function staleFiles(): string[] {
  return [...generatedFiles()].flatMap(([path, text]) => {
    const file = resolve(root, path);
    return existsSync(file) && readFileSync(file, 'utf8') === text ? [] : [path];
  });
}

// ── Configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function configurationPage(): string {
  const secrets = SECRET_SOURCES.map(
    ({ section, key, credential }) =>
      [`\`${section}.${key}\``, `\`${variableOf(credential)}\``, `\`${credential}\``] as const,
  );
  return page([
    '# Configuration',
    `${GENERATED}\n<!-- Source: webhook/config/schema.ts -->`,
    'The operator reads `berth.toml` from its working directory; `$BERTH_CONFIG` names another file. Start from [berth.example.toml](../../berth.example.toml), which has every key. Unknown keys are errors, and all problems are told at once with file, line, key and the way out ([CONFIG_INVALID](errors.md#config_invalid)); then nothing is started.',
    '## Secrets',
    'The first of these that is there is used: the environment variable, the systemd credential (`$CREDENTIALS_DIRECTORY/<name>`), the file that `<key>_file` names, the key itself. A file with secrets must be readable by the operator alone (`chmod 600`).',
    table(['key', 'variable', 'credential'], secrets),
    'The webhook secret needs 32 bytes. To change it without losing a delivery: give the old one as `webhook_secret_previous`, restart, change it at GitHub, and remove the old one.',
    ...explainedSections().flatMap(configurationSection),
    '## A PostgreSQL of your own',
    'Give Berth a server of its own. It makes a role and a database for each preview (`preview_…`) and each seed (`berth_seed_…`) there, and the roles `berth_web`, `berth_tenants` and `berth_seeds`. At each start it takes the right to connect to its own database, to `postgres` and to `template1` from everybody (`REVOKE CONNECT, TEMPORARY … FROM PUBLIC`), because previews are part of everybody. Whoever else connects to one of these, and is neither its owner nor a superuser, then needs `GRANT CONNECT ON DATABASE … TO …`. Other databases on the server are left as they are; those that previews could connect to are named in the log.',
    '## Values of the apps’ secrets',
    'The file that `secrets.values_file` names (or the credential `repository-secrets`) is TOML: a name at the top level holds for every repository that was granted the name, a table for one repository alone.',
    '```toml\nSTRIPE_TEST_KEY = "sk_test_…"\n\n["your-org/your-app"]\nSTRIPE_TEST_KEY = "sk_test_…"\n```',
  ]);
}

function configurationSection(section: ExplainedSection): string[] {
  const rows = section.keys.map(({ name, description, isRequired, hasDefault, shown }) => {
    const value = stringify({ value: shown }).trim().slice('value = '.length);
    const fallback = hasDefault ? `\`${value}\`` : isRequired ? `required, e.g. \`${value}\`` : `–, e.g. \`${value}\``;
    return [`\`${name}\``, fallback, description] as const;
  });
  const heading = section.isList ? `[[${section.name}]]` : `[${section.name}]`;
  return [`## \`${heading}\``, section.description, table(['key', 'default', 'meaning'], rows)];
}

// ── preview.toml ──────────────────────────────────────────────────────────────────────────────────────────────────────────

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
}

/** The published schema, for editors: what a preview.toml may hold. */
function manifestJsonSchema(): object {
  return { title: 'preview.toml', ...z.toJSONSchema(appManifestSchema, { io: 'input' }) };
}

function manifestPage(): string {
  const schema = manifestJsonSchema() as JsonSchema;
  return page([
    '# preview.toml',
    `${GENERATED}\n<!-- Source: webhook/core/app-manifest.ts -->`,
    'What an app says it needs, in a file at the root of its repository. [Add your app](../guides/add-your-app.md) has examples; editors can use the [JSON Schema](preview.schema.json). Unknown keys are errors, and all problems are told on the pull request ([MANIFEST_INVALID](errors.md#manifest_invalid)).',
    ...manifestTable(schema, '', false),
    '## Names of variables',
    `In \`environment\` a name is a letter or \`_\`, then letters, digits and \`_\`, 64 characters at most; in \`secrets\` of capitals. None begins with ${inWords(REFUSED_PREFIXES)}, and these are refused, because`,
    REFUSED_NAMES.map(({ why, names }) => `- ${why}: ${inWords(names)}`).join('\n'),
    'A name stands in one of the two.',
  ]);
}

function inWords(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(', ');
}

/** The keys of one table, then the tables inside of it. */
function manifestTable(schema: JsonSchema, name: string, isList: boolean): string[] {
  const entries = Object.entries(schema.properties ?? {});
  const rows = entries.map(([key, value]) => {
    const isRequired = schema.required?.includes(key) === true;
    const fallback = isRequired
      ? 'required'
      : value.default === undefined
        ? '–'
        : `\`${JSON.stringify(value.default)}\``;
    return [`\`${key}\``, typeText(value), fallback, value.description ?? ''] as const;
  });
  const heading = name === '' ? '## Top level' : `## \`${isList ? `[[${name}]]` : `[${name}]`}\``;
  const inner = entries.flatMap(([key, value]) => {
    const path = name === '' ? key : `${name}.${key}`;
    if (value.properties !== undefined) return manifestTable(value, path, false);
    return value.items?.properties === undefined ? [] : manifestTable(value.items, path, true);
  });
  return [
    heading,
    ...(name === '' || schema.description === undefined ? [] : [schema.description]),
    table(['key', 'type', 'default', 'meaning'], rows),
    ...inner,
  ];
}

function typeText(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' or ');
  if (schema.type === 'array') {
    const items = schema.items?.properties === undefined ? `list of ${typeText(schema.items ?? {})}` : 'tables';
    return `${items}${schema.maxItems === undefined ? '' : `, at most ${schema.maxItems}`}`;
  }
  if (schema.type === 'integer') return `${schema.minimum ?? ''}–${schema.maximum ?? ''}`;
  if (schema.type === 'object') return schema.properties === undefined ? 'names to text' : 'table';
  return schema.type === 'string' ? 'text' : (schema.type ?? '');
}

// ── Command line ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function cliPage(): string {
  const options = (names: readonly OptionName[]) =>
    names.map((name) => [`\`${optionUsage(name)}\``, OPTIONS[name].text] as const);
  return page([
    '# `preview`',
    `${GENERATED}\n<!-- Source: webhook/commands/preview/command-table.ts -->`,
    'Works on previews through the operator’s unix socket, so it runs on the operator’s host, as the operator’s user or root. From a clone: `npm run -s preview -- list` (without `-s`, npm prints a banner before the result).',
    `\`\`\`text\n${helpText().trimEnd()}\n\`\`\``,
    'Results go to standard output, progress and errors to standard error. With `--json` standard output holds one JSON document, in every outcome (`logs` prints one per line; `exec`, `shell` and `complete` print what they are asked for as it is, and only their errors are JSON); an error is `{"error": {"code", "message", "hint"}}` with a code of [this list](errors.md). Colours appear on a terminal alone, and `NO_COLOR` turns them off.',
    'The socket is, in this order: `--socket`, `$BERTH_SOCKET`, `.berth/run/operator.sock` of the clone, `/run/berth/operator.sock`.',
    '## Exit status',
    table(
      ['status', 'meaning'],
      EXIT_TEXTS.map(([status, text]) => [String(status), text] as const),
    ),
    ...COMMANDS.flatMap((command: CommandSpec) => [
      `## ${command.name}`,
      `\`${usageOf(command)}\``,
      [command.text, command.details].join(' ').trim(),
      ...(command.options.length === 0 ? [] : [table(['option', 'meaning'], options(command.options))]),
    ]),
    '## Options of every command',
    table(['option', 'meaning'], options(COMMON_OPTIONS)),
  ]);
}

// ── Errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

const NEXT: Readonly<Record<Retry, string>> = {
  later: 'It is tried again by itself, with growing pauses.',
  'on-new-input': 'It is tried again at the next push, or with `preview update`.',
  never: 'It waits for a person.',
};

/** What the registry says of each code is put at the head of its section; what people wrote below that stays. */
function errorsPage(): string {
  const path = resolve(root, 'docs/reference/errors.md');
  const written = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const sections = Object.entries(ERROR_CODES).flatMap(([code, { summary, retry, hint }]) => [
    `## ${code}`,
    summary,
    `**What happens next:** ${NEXT[retry]}`,
    `**What to do:** ${hint}`,
    ...proseBelow(written, code),
  ]);
  return page([
    '# Errors',
    '<!-- Heading and first three paragraphs of each section come from webhook/core/errors.ts (`npm run docs`); write below them. -->',
    'Every error has a code. It stands in the comment on the pull request, in `preview status`, in the log and in the API’s answers, and says what happens next.',
    ...sections,
  ]);
}

const MANAGED_PARAGRAPHS = 3;

function proseBelow(text: string, code: string): string[] {
  const start = text.indexOf(`\n## ${code}\n`);
  if (start < 0) return [];
  const body = text.slice(start + 1).split(/\n(?=## )/)[0] ?? '';
  return body
    .trim()
    .split(/\n{2,}/)
    .slice(1 + MANAGED_PARAGRAPHS);
}

// ── Markdown ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

function page(parts: readonly string[]): string {
  return `${parts.join('\n\n')}\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cellText).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Outside of code, Markdown would take `<slug>` for an HTML tag. */
function cellText(text: string): string {
  return (text.startsWith('`') ? text : text.replaceAll('<', '\\<')).replaceAll('|', '\\|');
}

if (import.meta.main) {
  const stale = staleFiles();
  if (process.argv.includes('--check')) {
    for (const path of stale) console.error(`${path} is not what the code says. Run: npm run docs`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    const files = generatedFiles();
    for (const path of stale) {
      writeFileSync(resolve(root, path), files.get(path) ?? '');
      console.log(`wrote ${path}`);
    }
  }
}
