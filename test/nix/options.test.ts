import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../../scripts/nix/evaluation.ts';
import { readFlags } from '../../scripts/nix/flags.ts';
import { hostNameDecisions } from '../../scripts/nix/host-names.ts';
import { declarationsOf, settingsOf, type Setting } from '../../scripts/nix/module-settings.ts';
import { lookUp, mismatch, readOptionTable } from '../../scripts/nix/option-table.ts';
import { hostFiles, moduleFiles, profileFiles } from '../../scripts/nix/our-files.ts';
import { parseNix, type NixName, type NixNode } from '../../scripts/nix/parse-nix.ts';

/** What can be said of our Nix without Nix: option names and types, profiles, flags, host names. */
const table = readOptionTable();
const shown = (path: readonly NixName[]) => path.map((name) => name ?? '<computed>').join('.');
const isLeaf = (path: readonly NixName[]) => path[0] !== 'berth' && lookUp(table, path)?.kind !== 'prefix';
const settingsIn = (tree: NixNode) => settingsOf(tree, isLeaf);

/** What is wrong with one setting of NixOS's own, or undefined. */
function complaint({ path, value }: Setting): string | undefined {
  const found = lookUp(table, path);
  if (found === undefined)
    return 'is no option of NixOS (or of a part that test/fixtures/nixos-options.json lacks: scripts/trim-option-table.ts)';
  return found.kind === 'option' ? mismatch(found.type, value) : undefined;
}

test('every option of NixOS that we set exists and takes what we give it', (t) => {
  let looked = 0;
  const wrong: string[] = [];
  for (const { path: file, tree } of moduleFiles()) {
    for (const setting of settingsIn(tree)) {
      if (setting.path[0] === 'berth' || setting.path[0] === 'disko') continue;
      looked += 1;
      const why = complaint(setting);
      if (why !== undefined) wrong.push(`${file}:${setting.line}: ${shown(setting.path)} ${why}`);
    }
  }
  t.diagnostic(`${looked} settings looked at`);
  assert.deepEqual(wrong, []);
  assert.ok(looked > 100, 'the reader finds our settings');
});

test('the check sees a misspelt option, a wrong type and a wrong word', () => {
  const module = `{ config, lib, ... }: lib.mkIf config.x {
    services.caddy.enabled = true;
    services.caddy = { enable = "yes"; logDir = true; };
    networking.nftables.tables.x.family = lib.mkDefault "ipv4";
    services.openssh.settings.PermitRootLogin = "prohibit-password";
    services.caddy.email = null;
  }`;
  const complaints = settingsIn(parseNix(module)).map(
    (setting) => `${shown(setting.path)} ${complaint(setting) ?? 'fine'}`,
  );
  assert.match(String(complaints[0]), /services\.caddy\.enabled is no option/);
  assert.match(String(complaints[1]), /services\.caddy\.enable string is not a boolean/);
  assert.match(String(complaints[2]), /services\.caddy\.logDir boolean is not a absolute path/);
  assert.match(String(complaints[3]), /family "ipv4" is not one of/);
  assert.match(String(complaints[4]), /fine/);
  assert.match(String(complaints[5]), /fine/);
});

test('every option of our own that is set is declared', () => {
  const declared = [
    ...readFlags().map(({ path }) => path),
    ...moduleFiles().flatMap(({ tree }) => declarationsOf(tree).map((path) => shown(path).replace(/^berth\./, ''))),
  ];
  const isKnown = (name: string) => declared.some((each) => name === each || name.startsWith(`${each}.`));
  const unknown = moduleFiles().flatMap(({ path: file, tree }) =>
    settingsIn(tree)
      .filter(({ path }) => path[0] === 'berth' && path.length > 1)
      .filter(({ path }) => !isKnown(shown(path.slice(1))))
      .map(({ path, line }) => `${file}:${line}: ${shown(path)}`),
  );
  assert.deepEqual(unknown, []);
});

test('profiles declare no option and set values by mkDefault only', () => {
  for (const { path: file, tree } of profileFiles()) {
    assert.deepEqual(declarationsOf(tree), [], `${file} declares options`);
    const plain = settingsOf(tree, () => false).filter((setting) => !setting.isDefault);
    assert.deepEqual(
      plain.map((setting) => `${file}:${setting.line}: ${shown(setting.path)}`),
      [],
    );
  }
});

test('example hosts are under forty lines', () => {
  for (const { path } of hostFiles().filter(({ path }) => path.startsWith('server-config/hosts/'))) {
    const lines = readFileSync(join(repositoryRoot, path), 'utf8').trimEnd().split('\n').length;
    assert.ok(lines < 40, `${path} has ${lines} lines`);
  }
});

test('no shared code compares a host name', () => {
  const found = hostFiles().flatMap(({ path, tree }) => hostNameDecisions(tree).map((what) => `${path}: ${what}`));
  assert.deepEqual(found, []);
});

test('the check sees host names compared in every way', () => {
  for (const text of [
    'config.networking.hostName == "a"',
    'if lib.elem config.networking.hostName [ "a" ] then 1 else 2',
    'lib.hasPrefix "web" config.networking.hostName',
    'let inherit (config.networking) hostName; in hostName != "a"',
    '{ a = 1; b = 2; }.${config.networking.hostName}',
    'builtins.match "web.*" host.config.networking.fqdn',
  ]) {
    assert.equal(hostNameDecisions(parseNix(text)).length > 0, true, text);
  }
  assert.deepEqual(
    hostNameDecisions(parseNix('{ networking.hostName = "a"; x = "on ${config.networking.hostName}"; }')),
    [],
  );
});
