/** The pages say what is true: links and cited files exist, examples are accepted, generated pages are what the code says. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { parse } from 'smol-toml';
import { staleFiles } from '../scripts/generate-docs.ts';
import { configSchema } from '../webhook/config/schema.ts';
import { manifestFromToml } from '../webhook/core/app-manifest.ts';
import { ERROR_CODES } from '../webhook/core/errors.ts';

const root = resolve(import.meta.dirname, '..');
const pages = globSync('**/*.md', { cwd: root })
  .filter((file) => !/^node_modules\/|\/node_modules\/|^test\/fixtures\//.test(file))
  .sort();
const textOf = (page: string) => readFileSync(join(root, page), 'utf8');

/** A page without its code blocks: what stands in them is somebody else's syntax. */
function proseOf(page: string): string {
  return textOf(page).replace(/^(`{3,}).*\n[\s\S]*?^\1\s*$/gm, '');
}

/** Headings as GitHub names them in links. */
function anchorsOf(page: string): Set<string> {
  const headings = Array.from(proseOf(page).matchAll(/^#{1,6} (.+)$/gm), ([, title = '']) => title);
  const counts = new Map<string, number>();
  return new Set(
    headings.map((title) => {
      const plain = title
        .toLowerCase()
        .replace(/`/g, '')
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-');
      const count = counts.get(plain) ?? 0;
      counts.set(plain, count + 1);
      return count === 0 ? plain : `${plain}-${count}`;
    }),
  );
}

test('links between pages lead to a file, and to a heading that is there', () => {
  const broken = pages.flatMap((page) =>
    Array.from(proseOf(page).matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target)
      .filter((target) => !/^(?:https?|mailto):/.test(target))
      .flatMap((target) => {
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? page : join(dirname(page), path);
        if (!existsSync(join(root, file))) return [`${page}: ${target} leads nowhere`];
        const isPage = file.endsWith('.md') && anchor !== undefined;
        return isPage && !anchorsOf(file).has(anchor) ? [`${page}: ${target} has no such heading`] : [];
      }),
  );
  assert.deepEqual(broken, []);
});

/** What Claude Code reads inside of an agent's container, not a reader of ours. */
const FOR_AGENTS = 'server-config/guest/agent/';

test('every page can be reached from the README', () => {
  const reached = new Set<string>();
  const follow = (page: string): void => {
    if (reached.has(page)) return;
    reached.add(page);
    for (const [, target = ''] of proseOf(page).matchAll(/\]\(([^)\s#]+)/g)) {
      const file = join(dirname(page), target);
      if (pages.includes(file)) follow(file);
    }
  };
  follow('README.md');
  assert.deepEqual(
    pages.filter((page) => !reached.has(page) && !page.startsWith(FOR_AGENTS)),
    [],
  );
});

/** Folders of ours: what begins with one of them in a page is meant as a path. */
const CITED = /^(?:webhook|docs|scripts|test|server-config|initial-install)\/[\w./*{},-]*$/;

/** Files that a reader of the page makes. */
const MADE_BY_READERS = new Set(['initial-install/hosts.toml', 'server-config/hosts/berth-1.nix']);

test('files that the pages cite exist', () => {
  const missing = pages.flatMap((page) =>
    Array.from(proseOf(page).matchAll(/`([^`\n]+)`/g), ([, cited = '']) => cited.replace(/:\d+$/, ''))
      .filter((cited) => CITED.test(cited) && !MADE_BY_READERS.has(cited))
      .filter((cited) => globSync(cited.replace(/\/$/, ''), { cwd: root }).length === 0)
      .map((cited) => `${page}: ${cited}`),
  );
  assert.deepEqual(missing, []);
});

/** Pages about apps: the scripts that they name are the app's. */
const ABOUT_APPS = new Set(['docs/guides/add-your-app.md', 'server-config/guest/README.md']);

test('npm scripts that the pages cite exist', () => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
  const missing = pages
    .filter((page) => !ABOUT_APPS.has(page))
    .flatMap((page) =>
      Array.from(textOf(page).matchAll(/\bnpm run (?:-s )?([a-z][\w:-]*)/g), ([, name = '']) => name)
        .filter((name) => !Object.hasOwn(scripts, name))
        .map((name) => `${page}: npm run ${name}`),
    );
  assert.deepEqual(missing, []);
});

test('CONTRIBUTING names every npm script', () => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
  const missing = Object.keys(scripts).filter(
    (name) => !new RegExp(`\`npm (?:run )?${name}[\` ]`).test(textOf('CONTRIBUTING.md')),
  );
  assert.deepEqual(missing, []);
});

test('promises that are cited by their number are told in the pages', () => {
  const told = new Set(
    ['docs/reference/reliability.md', 'docs/reference/security.md'].flatMap((page) =>
      Array.from(textOf(page).matchAll(/^\| ((?:[RS]\d+(?:, )?)+)/gm), ([, ids = '']) => ids.split(', ')).flat(),
    ),
  );
  assert.ok(told.size > 20);
  const cited = globSync('{webhook,scripts,test,server-config,initial-install}/**/*.{ts,md,nix}', {
    cwd: root,
  }).flatMap((file) =>
    Array.from(textOf(file).matchAll(/\b[Pp]romises? ((?:[RS]\d+(?:, )?)+)|\(([RS]\d+)\)/g), ([, list, one]) =>
      (list ?? one ?? '').split(', ').map((id) => ({ file, id })),
    ).flat(),
  );
  assert.deepEqual(
    cited.filter(({ id }) => id !== '' && !told.has(id)),
    [],
  );
});

test('scripts of package.json begin with files that exist', () => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
  const missing = Object.entries(scripts).flatMap(([name, line]) => {
    const file = /^node ((?:scripts|webhook|initial-install)\/\S+)/.exec(line)?.[1];
    return file === undefined || existsSync(join(root, file)) ? [] : [`${name}: ${file}`];
  });
  assert.deepEqual(missing, []);
});

test('generated pages are what the code says', () => {
  assert.deepEqual(staleFiles(), [], 'run: npm run docs');
});

test('every error code has a section, and every section is a code', () => {
  const sections = Array.from(textOf('docs/reference/errors.md').matchAll(/^## (\S+)$/gm), ([, code]) => code);
  assert.deepEqual(sections, Object.keys(ERROR_CODES));
});

test('codes that the pages and the code mention exist', () => {
  const sources = globSync('webhook/**/*.ts', { cwd: root });
  const thrown = sources.flatMap((file) =>
    Array.from(textOf(file).matchAll(/new OperatorError\(\s*'([A-Z_]+)'/g), ([, code = '']) => ({ file, code })),
  );
  assert.ok(thrown.length > 20);
  assert.deepEqual(
    thrown.filter(({ code }) => !Object.hasOwn(ERROR_CODES, code)),
    [],
  );
  const used = new Set(
    sources
      .filter((file) => file !== 'webhook/core/errors.ts')
      .flatMap((file) => textOf(file).match(/'[A-Z]+(?:_[A-Z]+)*'/g) ?? []),
  );
  const unused = Object.keys(ERROR_CODES).filter((code) => code !== 'INTERNAL' && !used.has(`'${code}'`));
  assert.deepEqual(unused, [], 'nothing throws these');
});

test('every TOML example in the pages is accepted by the schema that it is for', () => {
  for (const page of pages) {
    for (const [, text = ''] of textOf(page).matchAll(/^```toml\n([\s\S]*?)^```$/gm)) {
      // A values file of secrets has no schema of its own; it stands in one place.
      if (/^\["/m.test(text)) continue;
      const isManifest = /^\[\[services\]\]|^\[setup\]/m.test(text);
      if (isManifest) {
        const result = manifestFromToml(text);
        assert.ok(result.ok, `${page}: ${result.ok ? '' : result.problems.join('; ')}\n${text}`);
      } else {
        const value = parse(text);
        for (const [section, part] of Object.entries(value)) {
          const schema = Object.hasOwn(configSchema.shape, section) ? configSchema.shape[section as 'github'] : null;
          assert.ok(schema?.safeParse(part).success === true, `${page}: [${section}] of\n${text}`);
        }
      }
    }
  }
});

test('the published JSON Schema accepts what the schema accepts', async () => {
  const { Ajv2020 } = await import('ajv/dist/2020.js');
  const validate = new Ajv2020({ strict: false }).compile(
    JSON.parse(textOf('docs/reference/preview.schema.json')) as object,
  );
  const guide = textOf('docs/guides/add-your-app.md');
  const examples = Array.from(guide.matchAll(/^```toml\n([\s\S]*?)^```$/gm), ([, text = '']) => parse(text));
  assert.ok(examples.length >= 5);
  for (const example of examples)
    assert.ok(validate(JSON.parse(JSON.stringify(example))), JSON.stringify(validate.errors));
  assert.ok(!validate({ services: [{ name: 'web', command: 'x', port: '3000' }] }));
  assert.ok(!validate({ services: [{ name: 'web', command: 'x', prot: 3000 }] }));
});

test('pages are short enough to be read', () => {
  const long = pages.filter((page) => !page.startsWith('docs/reference/') && statSync(join(root, page)).size > 40_000);
  assert.deepEqual(long, []);
});
