/**
 * The configuration explained, from the schema: the annotated example (berth.example.toml), what `--help` prints, and the rows of the
 * reference page. One source, so that none of them can go stale.
 */
import { stringify } from 'smol-toml';
import { z } from 'zod';
import { configSchema, sectionKeys } from './schema.ts';

export interface ExplainedKey {
  readonly name: string;
  readonly description: string;
  readonly isRequired: boolean;
  /** The default, or else an example. */
  readonly shown: unknown;
  readonly hasDefault: boolean;
}

export interface ExplainedSection {
  readonly name: string;
  readonly description: string;
  /** Whether it may stand several times: `[[grants]]`. */
  readonly isList: boolean;
  readonly keys: readonly ExplainedKey[];
}

/** Every section and key of berth.toml, in the order of the example. */
export function explainedSections(): ExplainedSection[] {
  return Object.entries(configSchema.shape).map(([name, schema]) => ({
    name,
    description: descriptionOf(schema),
    isList: schema instanceof z.ZodDefault,
    keys: Object.entries(sectionKeys(name)).map(([key, keySchema]) => explainedKey(key, keySchema)),
  }));
}

function explainedKey(name: string, schema: z.ZodType): ExplainedKey {
  const hasDefault = schema instanceof z.ZodDefault;
  const [example] = (z.globalRegistry.get(schema)?.examples ?? []) as unknown[];
  return {
    name,
    description: descriptionOf(schema),
    isRequired: !hasDefault && !(schema instanceof z.ZodOptional),
    shown: hasDefault ? schema.parse(undefined) : example,
    hasDefault,
  };
}

function descriptionOf(schema: z.ZodType): string {
  const description = z.globalRegistry.get(schema)?.description;
  if (description === undefined) throw new RangeError('every section and key of the configuration has a description');
  return description;
}

/** berth.example.toml: every key with its comment; what has a default, or may be left out, is commented out. */
export function exampleText(): string {
  const head = comment(
    'Configuration of Berth. Copy this file to berth.toml and adapt the copy. Every key is here; what is commented out shows its default, or an example of a key that may be left out. Secrets are better kept out of this file: the variables and credentials named below come first.',
    '# ',
  );
  return `${[head, ...explainedSections().map(sectionText)].join('\n\n')}\n`;
}

function sectionText(section: ExplainedSection): string {
  const isOptionalList = section.isList ? '# ' : '';
  const header = `${isOptionalList}${section.isList ? `[[${section.name}]]` : `[${section.name}]`}`;
  const keys = section.keys.map((key) => {
    const line = stringify({ [key.name]: key.shown }).trim();
    return `${comment(key.description, '# ')}\n${key.isRequired && !section.isList ? line : `# ${line}`}`;
  });
  return [comment(section.description, '# '), header, ...keys].join('\n');
}

/** What `npm start -- --help` prints after its options. */
export function configHelp(): string {
  const sections = explainedSections().map((section) => {
    const keys = section.keys.map(
      (key) =>
        `  ${key.name}${key.hasDefault ? ` (${JSON.stringify(key.shown)})` : ''}\n${comment(key.description, '      ')}`,
    );
    return `${section.isList ? `[[${section.name}]]` : `[${section.name}]`} ${section.description}\n${keys.join('\n')}`;
  });
  return `Keys of berth.toml, with their defaults:\n\n${sections.join('\n\n')}\n`;
}

const COMMENT_WIDTH = 100;

/** Words as lines, each with the prefix. */
function comment(text: string, prefix: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + 1 + word.length > COMMENT_WIDTH) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.map((line) => `${prefix}${line}`).join('\n');
}
