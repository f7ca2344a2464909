import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import {
  appManifestSchema,
  assumedManifestFrom,
  manifestFrom,
  manifestFromToml,
} from '../../../webhook/core/app-manifest.ts';

const WEB = { name: 'web', command: 'run', port: 3_000 };
const problemsOf = (value: unknown): string => {
  const result = manifestFrom(value);
  return result.ok ? 'no problem' : result.problems.join('\n');
};

test('the least manifest: one service; every default is filled in', () => {
  const result = manifestFromToml('[[services]]\nname = "web"\ncommand = "node server.js"\nport = 3000\n');
  assert.ok(result.ok);
  assert.deepEqual(result.manifest.routes, [{ path: '/', port: 3_000, stripPrefix: false }]);
  assert.equal(result.manifest.database, 'none');
  assert.equal(result.manifest.limits.memoryMiB, 1_024);
});

test('a syntax error names line and column', () => {
  const result = manifestFromToml('database = "host"\n[[services]\n');
  assert.ok(!result.ok);
  assert.match(result.problems[0] ?? '', /^preview\.toml, line 2, column \d+: /);
});

test('wrong values are refused with their key, all at once', () => {
  const problems = problemsOf({ services: [{ ...WEB, port: 'nope' }], database: 'hoost', routs: [] });
  assert.match(problems, /services\[0\]\.port/);
  assert.match(problems, /database/);
  assert.match(problems, /unknown key routs/);
});

test('routes: what could become syntax elsewhere is refused', () => {
  const bad = [
    'api',
    '//',
    '/a b',
    '/a\n}',
    '/a {',
    '/{$HOME}',
    '/{http.request.host}',
    '/%2e%2e',
    '*',
    '/**',
    '/ü',
    '/..',
    '/a/../b',
    `/${'x'.repeat(200)}`,
    '',
  ];
  for (const path of bad)
    assert.match(
      problemsOf({ services: [WEB], routes: [{ path, port: 3_000 }] }),
      /routes\[0\]\.path/,
      JSON.stringify(path),
    );
  for (const path of ['/', '/api', '/api/*', '/a.b_c~d-e/f/*'])
    assert.equal(problemsOf({ services: [WEB], routes: [{ path, port: 3_000 }] }), 'no problem', path);
  assert.match(
    problemsOf({
      services: [WEB],
      routes: [
        { path: '/', port: 3_000 },
        { path: '/', port: 3_000 },
      ],
    }),
    /may stand once/,
  );
});

test('ports: whole numbers from 1 to 65535, not 22, each of one service', () => {
  for (const port of ['3000', 0, -1, 65_536, 3_000.5, Number.NaN, null, 22, 1e9]) {
    assert.match(problemsOf({ services: [{ ...WEB, port }] }), /services\[0\]\.port/, String(port));
  }
  assert.match(problemsOf({ services: [WEB], routes: [{ path: '/', port: 4_000 }] }), /no service has port 4000/);
  assert.match(problemsOf({ services: [WEB, { ...WEB, name: 'two' }] }), /every port may stand once/);
});

test('names of services and prefixes of hosts are DNS-like', () => {
  for (const name of ['--host=evil', '../x', 'x@y', 'x.service y', '', 'Web', 'a'.repeat(64)])
    assert.match(problemsOf({ services: [{ ...WEB, name }] }), /services\[0\]\.name/, name);
  for (const prefix of ['a, evil.test', 'x {', '*', 'www', 'dashboard', 'a--b', 'UP', '-a', 'a-', 'x'.repeat(21), '']) {
    assert.match(
      problemsOf({ services: [WEB], extraHosts: [{ prefix, routes: [{ path: '/', port: 3_000 }] }] }),
      /extraHosts\[0\]\.prefix/,
      prefix,
    );
  }
});

test('environment and secrets: names that would change other programs, or are ours, are refused', () => {
  for (const name of [
    'PATH',
    'LD_PRELOAD',
    'NODE_OPTIONS',
    'BASH_ENV',
    'PREVIEW_URL',
    'DATABASE_URL',
    'A=B',
    'A B',
    '',
    '1A',
    `A${'x'.repeat(300)}`,
    '__proto__ ',
    'OPTIND',
    'UID',
  ]) {
    assert.match(problemsOf({ services: [WEB], environment: { [name]: 'x' } }), /environment/, name);
  }
  assert.match(problemsOf({ services: [WEB], environment: { A: 'a\0b' } }), /NUL/);
  for (const name of ['.*', 'PATH', 'LD_PRELOAD', '-f/etc/shadow', 'A=B', 'lower'])
    assert.match(problemsOf({ services: [WEB], secrets: [name] }), /secrets\[0\]/, name);
  assert.equal(
    problemsOf({ services: [WEB], environment: { lower_case: "it's $(fine)\n" }, secrets: ['STRIPE_KEY'] }),
    'no problem',
  );
});

test('environment: a name that JavaScript would lose is refused, however it is written', () => {
  for (const toml of ['__proto__ = "x"', '"__proto__" = "x"', "'__proto__' = 'x'", 'A = "a"\n__proto__ = "x"']) {
    const result = manifestFromToml(
      `[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[environment]\n${toml}\n`,
    );
    assert.ok(!result.ok, toml);
    assert.deepEqual(result.problems, ['environment.__proto__: is not a name that an app may set']);
  }
  const kept = manifestFromToml(
    '[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[environment]\nconstructor = "x"\n',
  );
  assert.ok(kept.ok);
  assert.deepEqual(kept.manifest.environment, { constructor: 'x' });
});

test('a name is a secret’s or a public variable’s, not both', () => {
  const both = { services: [WEB], secrets: ['STRIPE_KEY', 'API_KEY'], environment: { API_KEY: 'public', LOG: 'x' } };
  assert.equal(problemsOf(both), 'secrets[1]: API_KEY stands in environment too');
});

test('the published schema refuses the same names', () => {
  const { properties } = z.toJSONSchema(appManifestSchema, { io: 'input' }) as unknown as {
    properties: {
      environment: { propertyNames: { pattern: string } };
      secrets: { items: { allOf: { pattern: string }[] } };
    };
  };
  const names = new RegExp(properties.environment.propertyNames.pattern);
  const secret = (name: string) =>
    properties.secrets.items.allOf.every(({ pattern }) => new RegExp(pattern).test(name));
  for (const name of ['OPTIND', 'UID', '__proto__', 'PATH', 'LD_PRELOAD', 'PREVIEW_URL']) {
    assert.ok(!names.test(name), name);
    assert.ok(!secret(name), name);
  }
  assert.ok(names.test('lower_case') && names.test('STRIPE_KEY') && secret('STRIPE_KEY'));
});

test('a worker needs no port, but something has to be shown', () => {
  assert.match(problemsOf({ services: [{ name: 'worker', command: 'run' }] }), /needs a port/);
  assert.equal(problemsOf({ services: [WEB, { name: 'worker', command: ['node', 'worker.js'] }] }), 'no problem');
});

test('a Node.js project without a manifest is guessed at, and told what was assumed', () => {
  const none = { lock: false, server: false };
  const assumed = assumedManifestFrom(
    { scripts: { start: 'node .', build: 'tsc' }, dependencies: { x: '1' } },
    { lock: true, server: false },
  );
  assert.equal(assumed?.manifest.setup?.command, 'npm ci && npm run build');
  assert.ok(assumed?.assumptions.some((line) => line.includes('npm start')));
  assert.deepEqual(assumed?.manifest.packages, ['nodejs_24'], 'a container has no npm of its own');
  assert.equal(assumedManifestFrom({ scripts: { start: 'node .' } }, none)?.manifest.setup, undefined);
  for (const nothing of [{}, { scripts: {} }, { scripts: { start: 1 } }, null, 'x', []])
    assert.equal(assumedManifestFrom(nothing, none), null);
  // `npm start` is `node server.js` where no script says otherwise.
  const served = assumedManifestFrom({ name: 'x' }, { lock: false, server: true });
  assert.deepEqual(served?.manifest.services, [{ name: 'web', command: 'npm start', port: 3_000 }]);
  assert.equal(assumedManifestFrom({ scripts: { start: 1 } }, { lock: false, server: true }), null);
});

test('a seed is a file in the repository, of a database that Berth makes', () => {
  const seeded = (databaseSeed: string, database = 'host') => problemsOf({ services: [WEB], database, databaseSeed });
  for (const path of ['seed.sql', 'db/seed.sql', 'db/dev-data_2.dump.sql', '.berth/seed.sql'])
    assert.equal(seeded(path), 'no problem', path);
  const bad = [
    '',
    '/etc/passwd',
    '../x.sql',
    'a/../b.sql',
    './a.sql',
    'a//b.sql',
    'a/',
    'a b.sql',
    'a\nb',
    'ä.sql',
    '.git/config',
    ':(top)x',
    'a\\b',
    'x'.repeat(300),
  ];
  for (const path of bad) assert.match(seeded(path), /^databaseSeed: /, JSON.stringify(path));
  for (const database of ['container', 'none'])
    assert.match(seeded('seed.sql', database), /^databaseSeed: needs database = "host"$/);
});
