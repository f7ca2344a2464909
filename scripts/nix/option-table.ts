import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './evaluation.ts';
import type { NixName, NixNode } from './parse-nix.ts';

/**
 * NixOS's options as `{ "name": "type in NixOS's words" }`, cut down to the parts that we touch
 * (scripts/trim-option-table.ts). Names have `<name>` for any attribute and `*` for a list's element.
 */
export type OptionTable = ReadonlyMap<string, string>;

export const tableFile = join(repositoryRoot, 'test', 'fixtures', 'nixos-options.json');

export function readOptionTable(file = tableFile): OptionTable {
  return new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>));
}

/** The option at a path, or the nearest one above it; undefined when there is neither and nothing below. */
export type Found =
  | { kind: 'option'; type: string }
  /** Options are below; the path itself is only their prefix. */
  | { kind: 'prefix' }
  /** Inside an option whose type takes any attributes. */
  | { kind: 'inside'; type: string };

export function lookUp(table: OptionTable, path: readonly NixName[]): Found | undefined {
  const keys = candidates(table, path);
  for (const key of keys) {
    const type = table.get(key);
    if (type !== undefined) return { kind: 'option', type };
  }
  if (keys.some((key) => hasBelow(table, key))) return { kind: 'prefix' };
  for (let length = path.length - 1; length > 0; length -= 1) {
    for (const key of candidates(table, path.slice(0, length))) {
      const type = table.get(key);
      if (type !== undefined && takesAnyAttribute(type)) return { kind: 'inside', type };
    }
  }
  return undefined;
}

/** Names that a path may have in the table: each part as it is, or as `<name>`. */
export function candidates(table: OptionTable, path: readonly NixName[]): string[] {
  let keys = [''];
  for (const [index, part] of path.entries()) {
    const next = keys.flatMap((key) => {
      const dot = key === '' ? '' : `${key}.`;
      return part === undefined ? [`${dot}<name>`] : [`${dot}${part}`, `${dot}<name>`];
    });
    keys = index === path.length - 1 ? next : next.filter((key) => table.has(key) || hasBelow(table, key));
  }
  return keys;
}

const prefixes = new WeakMap<OptionTable, Set<string>>();

function hasBelow(table: OptionTable, key: string): boolean {
  let known = prefixes.get(table);
  if (known === undefined) {
    known = new Set();
    for (const name of table.keys()) {
      const parts = name.split('.');
      for (let length = 1; length < parts.length; length += 1) known.add(parts.slice(0, length).join('.'));
    }
    prefixes.set(table, known);
  }
  return known.has(key);
}

function takesAnyAttribute(type: string): boolean {
  return /attribute set|open submodule|JSON|TOML|YAML|anything|unspecified|convertible to it|section of an INI/.test(
    type,
  );
}

/** Why a value that is written out can't be of a type, or undefined: unknown values and free-form types are taken. */
export function mismatch(type: string, value: NixNode | undefined): string | undefined {
  const is = kindOf(value);
  if (
    is === undefined ||
    /unspecified|anything|JSON|TOML|YAML|raw value|systemd option|convertible to it|INI|function/.test(type)
  )
    return undefined;
  if (is === 'null') return /null/.test(type) ? undefined : `null is not a ${type}`;
  return accepts[is].test(type) ? enumMismatch(type, value) : `${is} is not a ${type}`;
}

type Kind = 'string' | 'boolean' | 'number' | 'list' | 'attribute set' | 'null';

const accepts: Record<Exclude<Kind, 'null'>, RegExp> = {
  string: /string|path|one of|package|line|expression|concatenated|pattern|value/,
  boolean: /boolean|\bbool\b/,
  number: /integer|number|float|\bint\b|sysctl/,
  list: /list/,
  'attribute set': /attribute set|submodule|attrs|package/,
};

function kindOf(value: NixNode | undefined): Kind | undefined {
  if (value?.kind === 'string' || value?.kind === 'number' || value?.kind === 'list') return value.kind;
  if (value?.kind === 'attrs') return 'attribute set';
  if (value?.kind !== 'identifier') return undefined;
  if (value.name === 'true' || value.name === 'false') return 'boolean';
  return value.name === 'null' ? 'null' : undefined;
}

function enumMismatch(type: string, value: NixNode | undefined): string | undefined {
  if (value?.kind !== 'string' || value.text === undefined || !/^(null or )?one of "/.test(type)) return undefined;
  return type.includes(`"${value.text}"`) ? undefined : `"${value.text}" is not ${type}`;
}
