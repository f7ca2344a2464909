import type { NixNode } from './parse-nix.ts';

/** Places where what a machine is called decides something: a comparison, a test, a look-up by name. */
export function hostNameDecisions(node: NixNode): string[] {
  const deciding = new Set([
    'elem',
    'hasPrefix',
    'hasSuffix',
    'hasInfix',
    'match',
    'optionalAttrs',
    'getAttr',
    'hasAttr',
    'any',
    'all',
  ]);
  const isName = (each: NixNode): boolean => {
    const last = each.kind === 'select' ? each.path.at(-1) : each.kind === 'identifier' ? each.name : undefined;
    return last === 'hostName' || last === 'fqdn' || last === 'fqdnOrHostName';
  };
  const mentions = (each: NixNode): boolean => isName(each) || children(each).some(mentions);
  const decides = (each: NixNode): boolean => {
    if (each.kind === 'binary')
      return (
        ['==', '!=', '<', '>', '<=', '>='].includes(each.operator) && (mentions(each.left) || mentions(each.right))
      );
    if (each.kind === 'if' || each.kind === 'assert') return mentions(each.condition);
    if (each.kind === 'apply') return deciding.has(headName(each)) && mentions(each.argument);
    return (each.kind === 'select' || each.kind === 'has') && each.computed.some(mentions);
  };
  return [...(decides(node) ? [node.kind] : []), ...children(node).flatMap(hostNameDecisions)];
}

function headName(node: NixNode): string {
  if (node.kind === 'apply') return headName(node.function);
  if (node.kind === 'select') return node.path.at(-1) ?? '';
  return node.kind === 'identifier' ? node.name : '';
}

function children(node: NixNode): NixNode[] {
  switch (node.kind) {
    case 'attrs':
      return node.bindings.flatMap(({ value }) => value ?? []);
    case 'list':
      return node.items;
    case 'select':
      return [node.of, ...node.computed, ...(node.fallback === undefined ? [] : [node.fallback])];
    case 'has':
      return [node.of, ...node.computed];
    case 'lambda':
      return [node.body];
    case 'apply':
      return [node.function, node.argument];
    case 'let':
      return [...node.bindings.flatMap(({ value }) => value ?? []), node.body];
    case 'with':
      return [node.scope, node.body];
    case 'assert':
      return [node.condition, node.body];
    case 'if':
      return [node.condition, ...node.branches];
    case 'binary':
      return [node.left, node.right];
    case 'unary':
      return [node.of];
    case 'string':
    case 'number':
    case 'path':
    case 'identifier':
      return [];
  }
}
