import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './evaluation.ts';
import { parseNix, type NixNode } from './parse-nix.ts';

/** One entry of server-config/defaults.nix. */
export interface Flag {
  /** Below `berth`, such as "features.ingress". */
  readonly path: string;
  readonly type: string;
  readonly doc: string;
  readonly default: FlagValue;
  readonly example: FlagValue | undefined;
}
export type FlagValue = string | number | boolean | null | FlagValue[];

/** @throws Error naming the flag that lacks its type, default or doc. */
export function readFlags(file = join(repositoryRoot, 'server-config', 'defaults.nix')): Flag[] {
  const flags: Flag[] = [];
  const visit = (path: string, node: NixNode | undefined): void => {
    if (node?.kind !== 'attrs') throw new Error(`${file}: ${path} is not written out`);
    const parts = new Map(node.bindings.map((binding) => [binding.path.join('.'), binding.value]));
    if (!parts.has('type')) {
      for (const [name, value] of parts) visit(path === '' ? name : `${path}.${name}`, value);
      return;
    }
    const part = (name: string): FlagValue => {
      const value = parts.get(name);
      if (value === undefined) throw new Error(`${file}: ${path} lacks its ${name}`);
      return literal(value, `${file}: ${path}.${name}`);
    };
    flags.push({
      path,
      type: String(part('type')),
      doc: String(part('doc')),
      default: part('default'),
      example: parts.has('example') ? part('example') : undefined,
    });
  };
  visit('', parseNix(readFileSync(file, 'utf8'), file));
  return flags;
}

function literal(node: NixNode, where: string): FlagValue {
  if (node.kind === 'string' && node.text !== undefined) return node.text;
  if (node.kind === 'number') return node.value;
  if (node.kind === 'list') return node.items.map((item) => literal(item, where));
  if (node.kind === 'identifier' && node.name in constants) return constants[node.name] ?? null;
  throw new Error(`${where} is not a plain value`);
}
const constants: Record<string, FlagValue> = { true: true, false: false, null: null };
