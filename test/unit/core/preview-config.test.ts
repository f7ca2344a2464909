import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluationFrom, manifestFromMeta, refusalClassOf } from '../../../webhook/core/preview-config.ts';

const meta = {
  setupService: 'setup-preview',
  appServices: ['preview-app', 'worker'],
  database: 'host',
  routes: [
    { path: '/', port: 3000 },
    { path: '/api/*', port: 4000, stripPrefix: true },
  ],
  hostSecrets: ['API_KEY'],
  extraHosts: [{ prefix: 'admin', routes: [{ path: '/', port: 4000 }] }],
};
const drv = '/nix/store/00000000000000000000000000000000-nixos-system.drv';
const units = ['setup-preview', 'preview-app', 'worker', 'sshd'];
const answer = (parts: object, more: object = {}) =>
  evaluationFrom(JSON.stringify({ meta: { ...meta, ...parts }, units, drv, ...more }));
const problemsOf = (parts: object): string => {
  const result = answer(parts);
  return result.ok ? 'accepted' : result.problems.join('\n');
};

test('the metadata becomes a manifest like any other, with the units that hold the app', () => {
  const result = answer({});
  assert.ok(result.ok);
  assert.equal(result.evaluation.drv, drv);
  const manifest = manifestFromMeta(result.evaluation.meta, '{ }');
  assert.deepEqual(manifest.ownSystem, {
    config: '{ }',
    setupService: 'setup-preview',
    appServices: ['preview-app', 'worker'],
  });
  assert.deepEqual(
    manifest.services.map((service) => service.port),
    [3000, 4000],
  );
  assert.deepEqual(manifest.routes, [
    { path: '/', port: 3000, stripPrefix: false },
    { path: '/api/*', port: 4000, stripPrefix: true },
  ]);
  assert.deepEqual([manifest.database, manifest.secrets], ['host', ['API_KEY']]);
  assert.equal(manifest.setup?.timeoutSeconds, 600);
});

test('secrets and extra hosts may be left out; an app without services of its own is one', () => {
  const { hostSecrets: _secrets, extraHosts: _hosts, ...required } = meta;
  const result = evaluationFrom(JSON.stringify({ meta: { ...required, appServices: [] }, units, drv }));
  assert.ok(result.ok);
  assert.deepEqual([result.evaluation.meta.hostSecrets, result.evaluation.meta.extraHosts], [[], []]);
});

test('what is wrong is named by a JSON pointer', () => {
  const route = (parts: object) => ({ routes: [{ path: '/', port: 3000, ...parts }] });
  const cases: [parts: object, problem: RegExp][] = [
    [{ extra: 1 }, /^\/: unknown key extra$/],
    [{ setupService: undefined }, /^\/setupService: /],
    [{ setupService: '' }, /^\/setupService: /],
    [{ setupService: '../x' }, /^\/setupService: /],
    [{ setupService: 'x@y' }, /^\/setupService: /],
    [{ setupService: 'setup-preview.service' }, /^\/setupService: /],
    [{ setupService: 'sshd' }, /^\/setupService: is a unit of the guest itself$/],
    [{ appServices: ['x.service y'] }, /^\/appServices\/0: /],
    [{ appServices: ['systemd-journald'] }, /^\/appServices\/0: is a unit of the guest itself$/],
    [{ appServices: ['worker', 'worker'] }, /^\/appServices: every unit may stand once$/],
    [{ appServices: ['elsewhere'] }, /^\/appServices\/0: there is no service elsewhere$/],
    [{ appServices: Array.from({ length: 17 }, (_, index) => `s${index}`) }, /^\/appServices: /],
    [{ database: 'Host' }, /^\/database: /],
    [{ database: true }, /^\/database: /],
    [{ routes: [] }, /^\/routes: /],
    [{ routes: {} }, /^\/routes: /],
    ...[
      'api',
      '//',
      '/a b',
      '/a\n}',
      '/a {',
      '/{$HOME}',
      '/%2e%2e',
      '*',
      '/**',
      '/ä',
      '/..',
      `/${'x'.repeat(200)}`,
    ].map((path): [object, RegExp] => [route({ path }), /^\/routes\/0\/path: /]),
    ...['3000', '3000 127.0.0.1:2019', 0, -1, 65_536, 3000.5, 22, null].map((port): [object, RegExp] => [
      route({ port }),
      /^\/routes\/0\/port: /,
    ]),
    [{ routes: [meta.routes[0], meta.routes[0]] }, /^\/routes: every path may stand once$/],
    ...['a, evil.test, b', 'x {', '*', 'www', 'dashboard', 'xn--a', 'A', 'a'.repeat(64)].map(
      (prefix): [object, RegExp] => [{ extraHosts: [{ prefix, routes: meta.routes }] }, /^\/extraHosts\/0\/prefix: /],
    ),
    ...['.*', 'PATH', 'LD_PRELOAD', '-f/etc/shadow', 'A=B', 'lower'].map((name): [object, RegExp] => [
      { hostSecrets: [name] },
      /^\/hostSecrets\/0: /,
    ]),
    [{ hostSecrets: ['A', 'A'] }, /^\/hostSecrets: /],
  ];
  for (const [parts, problem] of cases) assert.match(problemsOf(parts), problem, JSON.stringify(parts));
});

test('the answer itself is closed: keys, prototype, size, and a system that is a derivation', () => {
  const own = JSON.stringify({ meta, units, drv }).replace('"meta":{', '"meta":{"__proto__":{"admin":true},');
  const polluted = evaluationFrom(own);
  assert.equal(polluted.ok, false);
  for (const bad of ['/etc/passwd', '/nix/store/x.drv', `${drv}/../x`])
    assert.equal(answer({}, { drv: bad }).ok, false);
  const long = answer({ routes: Array.from({ length: 5_000 }, (_, port) => ({ path: `/p${port}`, port: 3000 })) });
  assert.deepEqual(long.ok ? [] : long.problems, ['/: longer than 65536 characters']);
});

test('Nix’s words are sorted into classes that the documentation explains', () => {
  const cases: [text: string, kind: string][] = [
    ["error: access to absolute path '/etc/shadow' is forbidden in pure eval mode", 'reads-files'],
    ["error: access to canonical path '/x' is forbidden in restricted mode", 'reads-files'],
    ["error: cannot look up '<nixpkgs>' in pure evaluation mode", 'reads-files'],
    ["error: access to URI 'http://127.0.0.1/' is forbidden in restricted mode", 'fetches'],
    ["error: in pure evaluation mode, 'fetchurl' requires a 'sha256' argument", 'fetches'],
    [
      "error: cannot build '/nix/store/x.drv' during evaluation because the option 'allow-import-from-derivation' is disabled",
      'builds-while-evaluating',
    ],
    ['error: infinite recursion encountered', 'recursion'],
    ['error: stack overflow (possible infinite recursion)', 'recursion'],
    ['error: syntax error, unexpected end of file', 'syntax'],
    ["error: attribute 'previewMeta' missing", 'no-meta'],
    ['error: enough', 'throws'],
  ];
  for (const [text, kind] of cases) assert.equal(refusalClassOf(text), kind, text);
});
