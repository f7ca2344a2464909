/** preview-config.nix files for tests: an honest one, and the hostile ones. */

interface Parts {
  readonly head?: string;
  readonly meta?: string;
  readonly fields?: string;
  readonly setup?: string;
  readonly app?: string;
  readonly services?: string;
  readonly dependencies?: string;
}

const fieldsOfMeta =
  'setupService = "setup-preview"; appServices = [ "preview-app" ]; database = "container"; routes = [ { path = "/"; port = 3000; } ];';

function configWith(parts: Parts): string {
  const quoted = (text: string) => `''${text.replaceAll("''", "'''")}''`;
  return `${parts.head ?? '{ ... }:'}
{
  systemd.services.setup-preview.script = ${parts.setup ?? quoted('true')};
  systemd.services.preview-app.script = ${parts.app ?? quoted('sleep 1000')};
  ${parts.services ?? ''}
  system.extraDependencies = ${parts.dependencies ?? '[ ]'};
  system.build.previewMeta = ${parts.meta ?? `{ ${fieldsOfMeta} ${parts.fields ?? ''} }`};
}
`;
}

export function honestConfig(setup = 'true', app = 'exec node server.js'): string {
  return configWith({ setup: JSON.stringify(setup), app: JSON.stringify(app) });
}

export interface HostileConfig {
  readonly name: string;
  readonly config: string;
  /** Code, and class in brackets where there is one. */
  readonly expect: RegExp;
}

const files = /^CONFIG_REFUSED reads-files$/;
const fetches = /^CONFIG_REFUSED (?:fetches|reads-files)$/;
const powers = /^CONFIG_REFUSED builds-with-powers$/;
const invalid = /^META_INVALID$/;
const refused = /^CONFIG_REFUSED /;
const bounded = /^(?:EVAL_TIMEOUT|EVAL_MEMORY|CONFIG_REFUSED recursion)$/;

/** The result of an expression as a script: if it could be had, it would be in the system. */
const stolen = (expression: string): string => configWith({ app: `toString (${expression})` });
const asMeta = (meta: string): string => configWith({ meta });
const field = (name: string, value: string): string =>
  configWith({ meta: `{ ${fieldsOfMeta} } // { ${name} = ${value}; }` });
const builds = (attributes: string): string =>
  configWith({
    dependencies: `[ (derivation ({ name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; } // { ${attributes} })) ]`,
  });
const zeros = 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const hex = '0'.repeat(64);

/** `urls` are those of listeners: loopback, metadata service, LAN. */
export function hostileConfigs(urls: readonly string[]): HostileConfig[] {
  const [loopback = '', metadata = '', lan = ''] = urls;
  const table: [name: string, config: string, expect: RegExp][] = [
    ['a file of the host', stolen('builtins.readFile "/var/secrets/canary"'), files],
    ['the password file', stolen('builtins.readFile "/etc/shadow"'), files],
    ['a file above the tree', stolen('builtins.readFile ./../../../etc/canary.nix'), files],
    ['a path literal outside', stolen('builtins.readFile /etc/canary.nix'), files],
    ['a path made of text', stolen('builtins.readFile (./. + "/../../../../etc/canary.nix")'), files],
    ['an import of a file of the host', stolen('import /etc/canary.nix'), files],
    ['a scoped import', stolen('builtins.scopedImport { } /etc/canary.nix'), files],
    ['a folder of the host', stolen('builtins.attrNames (builtins.readDir "/var/secrets")'), files],
    ['the root', stolen('builtins.attrNames (builtins.readDir "/")'), files],
    [
      'whether a file exists, told by failing',
      stolen(
        'if builtins.pathExists "/var/secrets/canary" then "it does" else builtins.readFile "/var/secrets/canary"',
      ),
      files,
    ],
    ['a file by interpolation', stolen('"${/var/secrets/canary}"'), files],
    ['a file by path', stolen('builtins.path { path = "/var/secrets/canary"; name = "x"; }'), files],
    ['a folder by filterSource', stolen('builtins.filterSource (p: t: true) "/var/secrets"'), files],
    ['a hash of a file', stolen('builtins.hashFile "sha256" "/var/secrets/canary"'), files],
    ['the type of a file', stolen('(builtins.readFileType or (p: builtins.readFile p)) "/var/secrets/canary"'), files],
    ['a file of /proc', stolen('builtins.readFile "/proc/self/environ"'), files],
    ['the evaluation’s own memory', stolen('builtins.readFile "/proc/self/maps"'), files],
    ['the search path', stolen('import <nixpkgs> { }'), files],
    ['a file found by name', stolen('builtins.findFile [ { prefix = ""; path = "/var/secrets"; } ] "canary"'), files],
    [
      'a store path of somebody else',
      stolen('builtins.storePath "/nix/store/00000000000000000000000000000000-x"'),
      refused,
    ],
    [
      'a store path without context',
      stolen('builtins.readFile "/nix/store/00000000000000000000000000000000-x/secret"'),
      refused,
    ],
    ['the environment in the metadata', field('setupService', 'builtins.getEnv "BERTH_CANARY"'), invalid],
    [
      'the environment, told by failing',
      stolen('let e = builtins.getEnv "BERTH_CANARY"; in if e == "" then throw "nothing there" else e'),
      /^CONFIG_REFUSED throws$/,
    ],
    ['the time', stolen('builtins.currentTime'), refused],
    ['the machine', stolen('builtins.currentSystem'), refused],
    ['fetchurl from loopback', stolen(`builtins.fetchurl "${loopback}/"`), fetches],
    [
      'fetchurl with a hash from loopback',
      stolen(`builtins.fetchurl { url = "${loopback}/"; sha256 = "${hex}"; }`),
      fetches,
    ],
    [
      'fetchurl with a hash from the metadata service',
      stolen(`builtins.fetchurl { url = "${metadata}/latest"; sha256 = "${hex}"; }`),
      fetches,
    ],
    ['fetchurl with a hash from the LAN', stolen(`builtins.fetchurl { url = "${lan}/"; sha256 = "${hex}"; }`), fetches],
    ['fetchTarball', stolen(`builtins.fetchTarball { url = "${loopback}/x.tar.gz"; sha256 = "${hex}"; }`), fetches],
    [
      'fetchGit over ssh',
      stolen('builtins.fetchGit { url = "ssh://git@127.0.0.1/x"; rev = "0000000000000000000000000000000000000000"; }'),
      fetches,
    ],
    [
      'fetchGit with a transport that runs a program',
      stolen('builtins.fetchGit { url = "ext::sh -c id"; rev = "0000000000000000000000000000000000000000"; }'),
      refused,
    ],
    [
      'fetchGit of a folder',
      stolen('builtins.fetchGit { url = "file:///var/secrets"; rev = "0000000000000000000000000000000000000000"; }'),
      fetches,
    ],
    [
      'fetchMercurial',
      stolen(`builtins.fetchMercurial { url = "${loopback}"; rev = "0000000000000000000000000000000000000000"; }`),
      refused,
    ],
    ['fetchTree of a folder', stolen('builtins.fetchTree { type = "path"; path = "/var/secrets"; }'), refused],
    [
      'fetchTree with a hash',
      stolen(`builtins.fetchTree { type = "path"; path = "/var/secrets"; narHash = "${zeros}"; }`),
      refused,
    ],
    [
      'fetchTree of a tarball',
      stolen(`builtins.fetchTree { type = "tarball"; url = "${loopback}/x.tar"; narHash = "${zeros}"; }`),
      refused,
    ],
    ['getFlake', stolen('builtins.getFlake "path:/var/secrets"'), refused],
    ['getFlake from GitHub', stolen('builtins.getFlake "github:NixOS/nixpkgs"'), refused],
    ['a program', stolen('builtins.exec [ "/bin/sh" "-c" "id" ]'), refused],
    ['a library', stolen('builtins.importNative "/usr/lib/x86_64-linux-gnu/libc.so.6" "system"'), refused],
    [
      'import from a derivation',
      stolen(
        'import (derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo 1 > $out" ]; })',
      ),
      refused,
    ],
    [
      'a derivation read',
      stolen(
        'builtins.readFile (derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "cat /var/secrets/canary > $out" ]; })',
      ),
      refused,
    ],
    [
      'a file of a gigabyte',
      stolen('builtins.toFile "x" (builtins.foldl\' (a: b: a + a) "xxxxxxxxxxxxxxxx" (builtins.genList (x: x) 26))'),
      /^(?:EVAL_MEMORY|CONFIG_REFUSED)/,
    ],
    ['recursion without end', stolen('let f = x: f (x + 1); in f 0'), bounded],
    ['a value that is itself', stolen('let x = x; in x'), bounded],
    [
      'a list of ten million',
      stolen(
        'builtins.length (builtins.map (x: toString x) (builtins.genList (x: x) 100000000)) + builtins.deepSeq (builtins.genList (x: { a = x; b = toString x; }) 100000000) 1',
      ),
      bounded,
    ],
    [
      'a text that doubles',
      stolen('builtins.foldl\' (a: b: a + a) "xxxxxxxxxxxxxxxx" (builtins.genList (x: x) 40)'),
      bounded,
    ],
    [
      'a set without end',
      stolen(
        'builtins.deepSeq (builtins.genericClosure { startSet = [ { key = 1; } ]; operator = x: [ { key = x.key + 1; } ]; }) "x"',
      ),
      bounded,
    ],
    [
      'work without end',
      stolen(
        "let f = n: if n == 0 then 0 else f (n - 1); g = n: if n == 0 then 0 else builtins.seq (f 5000) (g (n - 1)); h = builtins.foldl' (a: b: g 3000) 0 (builtins.genList (x: x) 1000000); in h",
      ),
      bounded,
    ],
    [
      'a pattern that backtracks for ever',
      stolen('builtins.match "((a*)*)*b" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"'),
      bounded,
    ],
    [
      'a flood of traces',
      stolen('builtins.foldl\' (a: b: builtins.trace "flood" a) 0 (builtins.genList (x: x) 100000000)'),
      bounded,
    ],
    [
      'a throw with the cursor’s movements',
      stolen('throw "\\u001b[2J${builtins.fromJSON "\\"\\\\u001b[2J\\""}"'),
      /^CONFIG_REFUSED throws$/,
    ],
    ['an abort', stolen('abort "enough"'), /^CONFIG_REFUSED throws$/],
    ['an assertion with a secret', stolen('assert builtins.readFile "/var/secrets/canary" == ""; ""'), files],
    [
      'metadata that is a derivation',
      asMeta('derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; }'),
      /^(?:META_INVALID|CONFIG_REFUSED)/,
    ],
    ['metadata that is a function', asMeta('x: x'), refused],
    ['metadata that is a path', asMeta('/etc'), /^(?:META_INVALID|CONFIG_REFUSED)/],
    ['metadata that is null', asMeta('null'), /^(?:META_INVALID|CONFIG_REFUSED)/],
    [
      'metadata without end',
      asMeta(`let m = { ${fieldsOfMeta} again = m; }; in m`),
      /^(?:META_INVALID|EVAL_|CONFIG_REFUSED)/,
    ],
    [
      'metadata that turns itself into text',
      field('setupService', '{ __toString = self: "--host=evil"; }'),
      /^(?:META_INVALID|CONFIG_REFUSED)/,
    ],
    [
      'metadata with a functor',
      field('database', '{ __functor = self: x: "host"; }'),
      /^(?:META_INVALID|CONFIG_REFUSED)/,
    ],
    ['an unknown field', field('setup', '"x"'), invalid],
    ['__proto__', field('__proto__', '{ admin = true; }'), invalid],
    ['an option in place of a unit', field('setupService', '"--host=evil"'), /^(?:META_INVALID|CONFIG_REFUSED)/],
    ['a unit of the guest', field('appServices', '[ "systemd-journald" ]'), invalid],
    ['a unit that is not there', field('appServices', '[ "nothing" ]'), /^(?:META_INVALID|CONFIG_REFUSED)/],
    ['a path that ends its line', field('routes', '[ { path = "/a\\n}"; port = 3000; } ]'), invalid],
    ['a placeholder of Caddy', field('routes', '[ { path = "/{$HOME}"; port = 3000; } ]'), invalid],
    ['a port as text', field('routes', '[ { path = "/"; port = "3000 127.0.0.1:2019"; } ]'), invalid],
    [
      'a million routes',
      field('routes', 'builtins.genList (n: { path = "/x${toString n}"; port = 3000; }) 100000'),
      /^(?:META_INVALID|CONFIG_REFUSED too-much-output)$/,
    ],
    [
      'another preview’s host',
      field('extraHosts', '[ { prefix = "a, evil.test, b"; routes = [ { path = "/"; port = 3000; } ]; } ]'),
      invalid,
    ],
    ['a pattern of secrets', field('hostSecrets', '[ ".*" ]'), invalid],
    ['our own secret by an option', field('hostSecrets', '[ "-f/etc/shadow" ]'), invalid],
    [
      'a unit named like a section',
      configWith({ services: 'systemd.services."x\\n[Service]".script = "id";' }),
      refused,
    ],
    ['a unit with a path for a name', configWith({ services: 'systemd.services."../x".script = "id";' }), refused],
    [
      'a build that fetches',
      builds(`outputHash = "${zeros}"; outputHashMode = "flat"; args = [ "-c" "curl ${loopback} > $out" ];`),
      powers,
    ],
    [
      'a fetch by Nix itself',
      builds(`builder = "builtin:fetchurl"; url = "${loopback}/"; outputHash = "${zeros}"; outputHashMode = "flat";`),
      powers,
    ],
    ['a build without sandbox', builds('__noChroot = true;'), powers],
    ['an impure build', builds('__impure = true;'), refused],
    ['a builder with more than others', builds('requiredSystemFeatures = [ "kvm" ];'), powers],
    [
      'a build without sandbox, in structured attributes',
      builds('__structuredAttrs = true; __noChroot = true;'),
      powers,
    ],
    ['an output with a path for a name', builds('outputs = [ "../x" ];'), refused],
    [
      'a file passed to a build',
      configWith({
        dependencies:
          '[ (derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; secret = /var/secrets/canary; }) ]',
      }),
      files,
    ],
    ['an empty file', '', refused],
    ['not Nix', 'this is not { Nix', /^CONFIG_REFUSED syntax$/],
    ['a byte-order mark', `\uFEFF${honestConfig()}`, refused],
    ['no metadata', '{ ... }: { systemd.services = { }; }', /^CONFIG_REFUSED (?:no-meta|throws)$/],
    ['a list', '[ ]', refused],
  ];
  return table.map(([name, config, expect]) => ({ name, config, expect }));
}
