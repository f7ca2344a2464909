/** The rules of docs/architecture.md and of the house style, compared with the files as they are. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, dirname, join, posix, relative, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '..');
const textOf = (path: string) => readFileSync(join(root, path), 'utf8');
const filesOf = (pattern: string) => globSync(pattern, { cwd: root }).sort();
const serviceFiles = filesOf('webhook/**/*.{ts,mjs}');
const sourceFiles = [...serviceFiles, ...filesOf('scripts/**/*.ts'), ...filesOf('initial-install/**/*.ts')];
const testFiles = filesOf('test/**/*.ts').filter((file) => !file.includes('/fixtures/'));

interface Layer {
  /** A folder (a star stands for any one folder) or a file. */
  readonly pattern: string;
  readonly allowed: readonly string[];
}

interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

/** The rows of "Who may import whom". */
function layersOf(page: string): Layer[] {
  const section = page.slice(page.indexOf('## Who may import whom'));
  return Array.from(section.matchAll(/^\| `([^`]+)` \| (.+) \|$/gm), ([, pattern = '', cells = '']) => ({
    pattern,
    allowed: cells.split(',').map((cell) => cell.trim().replaceAll('`', '')),
  }));
}

/** The row that a file falls under: the most exact one. */
function layerOf(layers: readonly Layer[], file: string): Layer | null {
  const fits = layers.filter(({ pattern }) => folderOf(pattern, file) !== null || pattern === file);
  return fits.reduce<Layer | null>(
    (best, each) => (best === null || each.pattern.length > best.pattern.length ? each : best),
    null,
  );
}

/** The folder that a pattern means for a file, or null when the file is not below it. */
function folderOf(pattern: string, file: string): string | null {
  if (!pattern.endsWith('/')) return null;
  const parts = pattern.slice(0, -1).split('/');
  const own = file.split('/').slice(0, parts.length);
  const isBelow =
    file.split('/').length > parts.length && parts.every((part, index) => part === '*' || part === own[index]);
  return isBelow ? `${own.join('/')}/` : null;
}

function importsOf(text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const statements = Array.from(
    code.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm),
    ([, type, specifier = '']) => ({ specifier, isTypeOnly: type !== undefined }),
  );
  const dynamic = Array.from(code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g), ([, specifier = '']) => ({
    specifier,
    isTypeOnly: false,
  }));
  return [...statements, ...dynamic];
}

/** Why a file may not import something, or null when it may. */
function objection(file: string, layer: Layer, { specifier, isTypeOnly }: Import): string | null {
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(file), specifier);
    const own = folderOf(layer.pattern, file);
    const isAllowed = layer.allowed.some((entry) => {
      if (entry === 'own') return own !== null && target.startsWith(own);
      if (entry.startsWith('types of ')) return isTypeOnly && target.startsWith(entry.slice('types of '.length));
      return entry.endsWith('/') ? target.startsWith(entry) : target === entry;
    });
    return isAllowed ? null : `imports ${target}${isTypeOnly ? ' (types)' : ''}`;
  }
  const only = layer.allowed.filter((entry) => entry.startsWith('only ')).map((entry) => entry.slice('only '.length));
  if (specifier.startsWith('node:')) {
    const mayUseNode =
      only.length === 0 ? !layer.allowed.some((entry) => entry.startsWith('types of ')) : only.includes(specifier);
    return mayUseNode ? null : `imports ${specifier}`;
  }
  if (builtinModules.includes(specifier)) return `imports ${specifier} without node:`;
  return layer.allowed.includes('libraries') || layer.allowed.includes(specifier) ? null : `imports ${specifier}`;
}

test('imports are those that docs/architecture.md allows', () => {
  const layers = layersOf(textOf('docs/architecture.md'));
  assert.ok(layers.length >= 10, 'the table was not found');
  const problems = serviceFiles.flatMap((file) => {
    const layer = layerOf(layers, file);
    if (layer === null) return [`${file} is in no layer of the table`];
    return importsOf(textOf(file)).flatMap((each) => {
      const why = objection(file, layer, each);
      return why === null ? [] : [`${file} ${why}, which ${layer.pattern} may not`];
    });
  });
  assert.deepEqual(problems, []);
});

test('every row of the table has files', () => {
  const layers = layersOf(textOf('docs/architecture.md'));
  const empty = layers.filter((layer) => !serviceFiles.some((file) => layerOf(layers, file) === layer));
  assert.deepEqual(
    empty.map((layer) => layer.pattern),
    [],
  );
});

test('the check itself sees what it should refuse', () => {
  const layers = layersOf(textOf('docs/architecture.md'));
  const refused = (file: string, code: string) => {
    const layer = layerOf(layers, file);
    assert.ok(layer !== null);
    return importsOf(code).some((each) => objection(file, layer, each) !== null);
  };
  assert.ok(refused('webhook/core/plan.ts', `import { readFileSync } from 'node:fs';`));
  assert.ok(refused('webhook/core/plan.ts', `import { Pool } from 'pg';`));
  assert.ok(refused('webhook/ports.ts', `import { phaseOf } from './core/preview.ts';`));
  assert.ok(refused('webhook/reconcile/sweep.ts', `export { x } from '../adapters/git/sources.ts';`));
  assert.ok(refused('webhook/adapters/git/sources.ts', `const x = await import('../postgres/pool.ts');`));
  assert.ok(refused('webhook/http/server.ts', `import {\n  a,\n  b,\n} from '../jobs/handlers.ts';`));
  assert.ok(refused('webhook/commands/preview/list.ts', `import type { Operator } from '../../ports.ts';`));
  assert.ok(!refused('webhook/adapters/git/sources.ts', `import { git } from './commands.ts';\nimport pg from 'pg';`));
  assert.ok(!refused('webhook/core/names.ts', `import { createHash } from 'node:crypto';`));
});

test('processes are started by adapters and commands alone, and never through a shell', () => {
  const offenders = serviceFiles.filter((file) => /\bshell:\s*true\b|\bexecSync\(|\bexec\(`/.test(textOf(file)));
  assert.deepEqual(offenders, []);
});

test('only config.ts and the processes’ own start read the environment', () => {
  const mayRead = (file: string) => /^webhook\/(?:config\.ts|main\.ts|commands\/|hostd\/|adapters\/)/.test(file);
  const offenders = serviceFiles.filter((file) => !mayRead(file) && /\bprocess\.env\b/.test(textOf(file)));
  assert.deepEqual(offenders, []);
});

test('file names say what is in them', () => {
  // A `supervised-service` is one of an app's services; a file that is just `service` could be anything.
  const vague = /(?:^|[-.])(?:utils?|helpers?|common|misc|manager)(?:[-.]|$)|^(?:service|types|index)$/;
  const problems = [...sourceFiles, ...testFiles].filter((file) => {
    const name = basename(file).replace(/\.(?:test|contract|property)?\.?(?:ts|mjs)$/, '');
    return vague.test(name) || !/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name);
  });
  assert.deepEqual(problems, []);
});

test('a unit test lies where its subject does', () => {
  const strays = filesOf('test/unit/**/*.test.ts').filter((file) => {
    const folder = dirname(relative('test/unit', file));
    return !['webhook', 'server-config', '.'].some((top) => existsSync(join(root, top, folder)));
  });
  assert.deepEqual(strays, []);
});

test('what a file exports, another one uses', () => {
  const files = [...sourceFiles, ...testFiles, ...filesOf('server-config/**/*.ts')];
  const wordsOf = new Map(files.map((file) => [file, new Set(textOf(file).match(/[\w$]+/g))]));
  const unused = files.flatMap((file) =>
    Array.from(
      textOf(file).matchAll(/^export (?:async )?(?:function\*?|const|class) ([\w$]+)/gm),
      ([, name = '']) => name,
    )
      .filter((name) => !files.some((other) => other !== file && wordsOf.get(other)?.has(name)))
      .map((name) => `${file} ${name}`),
  );
  assert.deepEqual(unused, []);
});

const FILE_LINES_MAX = 400;
/** Tables of cases are as long as what they list. */
const TEST_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 60;
/** Besides the context that comes first (`op`) and the signal that comes last. */
const PARAMETERS_MAX = 3;

/** What is over its size and has to become smaller. Nothing may be added; what has become small enough must be removed. */
const TOO_LARGE: ReadonlySet<string> = new Set([
  'webhook/adapters/git/commands.ts checkoutCommand',
  'webhook/adapters/git/place-tree.ts placeTree',
  'webhook/adapters/git/place-tree.ts placeSource',
  'webhook/adapters/git/place-tree.ts placeRepository',
  'webhook/adapters/git/sources.ts entryOf',
  'webhook/adapters/git/sources.ts readFileOf',
  'webhook/commands/hostctl/maintenance-log.ts logMaintenance',
  'webhook/commands/hostctl/open-host.ts runVerb',
  'webhook/core/plan.ts planFor',
  'webhook/core/plan.ts tearDown',
  'scripts/nix/evaluation.ts instantiate',
  'initial-install/install.ts checkAndConfirm',
  'initial-install/install.ts runPhase',
  'initial-install/install.ts handOver',
  'initial-install/nixos-anywhere.ts phaseCommand',
]);

test('files, functions and parameter lists have a size that one can read', () => {
  const problems = [
    ...sourceFiles.flatMap((file) => tooLong(file, FILE_LINES_MAX)),
    ...testFiles.flatMap((file) => tooLong(file, TEST_LINES_MAX)),
    ...sourceFiles.flatMap(functionProblems),
  ];
  assert.deepEqual(
    problems.filter((problem) => !TOO_LARGE.has(problem.subject)).map((problem) => problem.text),
    [],
  );
  const subjects = new Set(problems.map((problem) => problem.subject));
  assert.deepEqual(
    [...TOO_LARGE].filter((subject) => !subjects.has(subject)),
    [],
    'these have become small enough: remove them from the list',
  );
});

interface SizeProblem {
  /** `webhook/main.ts`, or `webhook/main.ts start` for a function. */
  readonly subject: string;
  readonly text: string;
}

function tooLong(file: string, linesMax: number): SizeProblem[] {
  const lines = textOf(file).split('\n').length - 1;
  return lines > linesMax ? [{ subject: file, text: `${file} has ${lines} lines, more than ${linesMax}` }] : [];
}

/** Functions that begin in the first column, and methods of classes; the formatter puts their closing brace below their beginning. */
function functionProblems(file: string): SizeProblem[] {
  const lines = textOf(file).split('\n');
  return lines.flatMap((line, start) => {
    const match =
      /^(\s{0,2})(?:export )?(?:async )?function\*? (\w+)/.exec(line) ??
      /^(\s{2})(?:async )?(#?\w+)\([^)]*\)[^;]*\{$/.exec(line);
    if (match === null || /^\s*(?:if|for|while|switch|return)\b/.test(line)) return [];
    const [, indent = '', name = ''] = match;
    const length = lines.findIndex((each, index) => index >= start && each === `${indent}}`) - start + 1;
    const head = lines.slice(start, start + 12).join('\n');
    const parameters = countedParameters(head.slice(head.indexOf('(')));
    const problem = (text: string): SizeProblem => ({
      subject: `${file} ${name}`,
      text: `${file}:${start + 1} ${name} has ${text}`,
    });
    return [
      ...(length > FUNCTION_LINES_MAX ? [problem(`${length} lines, more than ${FUNCTION_LINES_MAX}`)] : []),
      ...(parameters > PARAMETERS_MAX ? [problem(`${parameters} parameters, more than ${PARAMETERS_MAX}`)] : []),
    ];
  });
}

/** Parameters of a list that begins with its parenthesis, without the context and the signal. */
function countedParameters(text: string): number {
  const names: string[] = [];
  let depth = 0;
  let current = '';
  for (const [index, character] of Array.from(text).entries()) {
    const isClosing = ')]}'.includes(character) || (character === '>' && text[index - 1] !== '=');
    if (isClosing) depth -= 1;
    if (depth === 0 && index > 0) break;
    if (character === ',' && depth === 1) {
      names.push(current.trim());
      current = '';
    } else if (index > 0) current += character;
    if ('([{<'.includes(character)) depth += 1;
  }
  const all = [...names, current.trim()].filter((name) => name !== '').map((name) => /^\w*/.exec(name)?.[0] ?? '');
  return all.filter(
    (name, index) => !(index === 0 && name === 'op') && !(index === all.length - 1 && name === 'signal'),
  ).length;
}

test('no path of a machine and no registry host is written down', () => {
  const everything = filesOf('**/*.{ts,mjs,md,nix,json,toml,sql}').filter(
    (file) => !/^node_modules\/|\/fixtures\//.test(file),
  );
  const machine = /\/(?:work|home\/(?!you|user|preview|agent)\w+)\//;
  const offenders = everything.filter((file) => machine.test(textOf(file)));
  assert.deepEqual(offenders, []);
});
