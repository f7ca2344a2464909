import type { NixBinding, NixName, NixNode } from './parse-nix.ts';

/**
 * What a NixOS module sets and declares, read from its text. Values behind functions that we do not know are left out:
 * this sees every option that is written out by name, which is how ours are written.
 */
export interface Setting {
  readonly path: readonly NixName[];
  /** The value without mkDefault and the like; undefined for an inherited one. */
  readonly value: NixNode | undefined;
  /** Whether mkDefault stands around it, here or further out. */
  readonly isDefault: boolean;
  readonly line: number;
}

/** Functions whose last argument is the value that is set. */
const wrappers = new Set([
  'mkDefault',
  'mkForce',
  'mkBefore',
  'mkAfter',
  'mkOverride',
  'mkIf',
  'optionalAttrs',
  'removeAttrs',
  'unlessTheHostSays',
]);

/** Every option that a module sets, under `config` or directly. `isLeaf` says where to stop going down. */
export function settingsOf(module: NixNode, isLeaf: (path: readonly NixName[]) => boolean): Setting[] {
  const settings: Setting[] = [];
  const visit = (
    path: readonly NixName[],
    given: NixNode | undefined,
    line: number,
    isDefaultAround: boolean,
  ): void => {
    const { value, isDefault } = given === undefined ? { value: undefined, isDefault: false } : unwrapped(given);
    const parts = given === undefined || (path.length > 0 && isLeaf(path)) ? [] : attributeSets(given);
    if (parts.length === 0) settings.push({ path, value, isDefault: isDefaultAround || isDefault, line });
    for (const part of parts) {
      for (const binding of part.bindings)
        visit([...path, ...binding.path], binding.value, binding.line, isDefaultAround || part.isDefault);
    }
  };
  for (const binding of configBindings(module)) visit(binding.path, binding.value, binding.line, false);
  return settings;
}

/** Paths that a module declares with mkOption or a function around it. */
export function declarationsOf(module: NixNode): NixName[][] {
  const declared: NixName[][] = [];
  const visit = (path: NixName[], value: NixNode | undefined): void => {
    if (value?.kind === 'attrs') for (const binding of value.bindings) visit([...path, ...binding.path], binding.value);
    else declared.push(path);
  };
  for (const binding of topBindings(module)) {
    if (binding.path[0] === 'options') visit(binding.path.slice(1), binding.value);
  }
  return declared;
}

function topBindings(module: NixNode): NixBinding[] {
  return attributeSets(module).flatMap((part) => part.bindings);
}

function configBindings(module: NixNode): NixBinding[] {
  const top = topBindings(module);
  const isExplicit = top.some(({ path }) => path[0] === 'config' || path[0] === 'options');
  const kept = isExplicit ? top.filter(({ path }) => path[0] === 'config') : top;
  return kept
    .filter(({ path }) => !['imports', 'meta', '_file', 'key', 'disabledModules'].includes(path[0] ?? ''))
    .map((binding) => (isExplicit ? { ...binding, path: binding.path.slice(1) } : binding));
}

/** The written-out attribute sets that a value is made of, through lambdas, let, mkIf, mkMerge and `//`. */
function attributeSets(node: NixNode, isDefault = false): { bindings: NixBinding[]; isDefault: boolean }[] {
  const inner = (each: NixNode) => attributeSets(each, isDefault);
  if (node.kind === 'attrs') return [{ bindings: node.bindings, isDefault }];
  if (node.kind === 'lambda' || node.kind === 'let' || node.kind === 'with' || node.kind === 'assert')
    return inner(node.body);
  if (node.kind === 'if') return node.branches.flatMap(inner);
  if (node.kind === 'binary') return node.operator === '//' ? [node.left, node.right].flatMap(inner) : [];
  if (node.kind !== 'apply') return [];
  const called = functionName(node);
  if (called === 'mkMerge' && node.argument.kind === 'list') return node.argument.items.flatMap(inner);
  return wrappers.has(called) ? attributeSets(node.argument, isDefault || called === 'mkDefault') : [];
}

function unwrapped(node: NixNode): { value: NixNode; isDefault: boolean } {
  if (node.kind !== 'apply' || !wrappers.has(functionName(node))) return { value: node, isDefault: false };
  const inner = unwrapped(node.argument);
  return { value: inner.value, isDefault: inner.isDefault || functionName(node) === 'mkDefault' };
}

/** The name of the function at the head of an application: `lib.mkIf c x` -> "mkIf". */
function functionName(node: NixNode): string {
  if (node.kind === 'apply') return functionName(node.function);
  if (node.kind === 'select') return node.path.at(-1) ?? '';
  return node.kind === 'identifier' ? node.name : '';
}
