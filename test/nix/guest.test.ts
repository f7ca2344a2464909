import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'smol-toml';
import {
  type Evaluator,
  evaluateJson,
  evaluationError,
  findEvaluator,
  repositoryRoot,
} from '../../scripts/nix/evaluation.ts';
import { manifestFrom } from '../../webhook/core/app-manifest.ts';
import { guestManifestFrom } from '../../webhook/core/guest-manifest.ts';

/**
 * The guest's systems evaluate, and the units made of three manifests equal the committed ones
 * (test/fixtures/guest-units/*.units; UPDATE_GOLDEN=1 writes them anew).
 */
const evaluator = findEvaluator();
const fixtures = join(repositoryRoot, 'test/fixtures/guest-units');

function guestManifest(name: string): unknown {
  const parsed = manifestFrom(parse(readFileSync(join(fixtures, name), 'utf8')));
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return guestManifestFrom(parsed.manifest);
}

/** A Nix expression for the system of a manifest; the data goes through JSON, as in the guest's flake. */
function systemOf(found: Evaluator, manifest: unknown): string {
  // A Nix string in which nothing is interpolated: JSON's own escapes, and the dollar sign.
  const json = JSON.stringify(JSON.stringify(manifest)).replaceAll('$', '\\$');
  return `(import (root + "/server-config/guest/system.nix") {
    nixpkgs = ${JSON.stringify(found.nixpkgs)}; system = "x86_64-linux"; manifest = builtins.fromJSON ${json}; }).config`;
}

/** Store paths without hash and version, so that a golden file holds what we decide and not what nixpkgs has today. */
function readable(unit: string): string {
  return unit
    .replace(/\/nix\/store\/[a-z0-9]{32}-([^/"\s:]+)/g, (_, name: string) => `<${name.replace(/-\d[^/]*$/, '')}>`)
    .replace(/^Environment="(LOCALE_ARCHIVE|TZDIR)=.*\n/gm, '');
}

if (typeof evaluator === 'string') {
  test('the guest’s systems evaluate and their units equal the golden files', { skip: evaluator }, () => {});
} else {
  const names = readdirSync(fixtures).filter((name) => name.endsWith('.toml'));
  for (const name of names) {
    test(`the units of ${name} equal the golden file`, async () => {
      const rendered = (await evaluateJson(
        evaluator,
        `let c = ${systemOf(evaluator, guestManifest(name))}; in {
          toplevel = c.system.build.toplevel.drvPath;
          units = lib.mapAttrs (_: u: u.text) (lib.filterAttrs (n: _: lib.any (p: lib.hasPrefix p n) [ "app-" "setup-preview" "preview.target" ]) c.systemd.units);
          meta = c.environment.etc."preview-meta.json".text;
        }`,
      )) as { toplevel: string; units: Record<string, string>; meta: string };
      assert.match(rendered.toplevel, /\.drv$/);
      const text = [
        ...Object.entries(rendered.units).map(([unit, body]) => `# ${unit}\n${readable(body).trim()}\n`),
        `# /etc/preview-meta.json\n${rendered.meta}\n`,
      ].join('\n');
      const golden = join(fixtures, name.replace('.toml', '.units'));
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, text);
      assert.equal(text, readFileSync(golden, 'utf8'));
    });
  }

  test('the default Node.js app and the committed manifest.json are one, and evaluate', async () => {
    const guest = join(repositoryRoot, 'server-config/guest');
    assert.equal(readFileSync(join(guest, 'manifest.json'), 'utf8'), readFileSync(join(guest, 'node.json'), 'utf8'));
    const node: unknown = JSON.parse(readFileSync(join(guest, 'node.json'), 'utf8'));
    assert.match(
      String(await evaluateJson(evaluator, `${systemOf(evaluator, node)}.system.build.toplevel.drvPath`)),
      /\.drv$/,
    );
  });

  const web = { name: 'web', command: 'true', port: 3000 };
  const refused: readonly [string, unknown, string][] = [
    [
      'a package that nixpkgs lacks',
      { packages: ['no-such-package'], setup: null, services: [web] },
      "nixpkgs has no package 'no-such-package'",
    ],
    ['a name that is no package', { packages: ['lib'], setup: null, services: [web] }, "nixpkgs has no package 'lib'"],
    ['an unknown key', { packages: [], setup: null, services: [web], hooks: [] }, 'guest.manifest.hooks'],
    [
      'a service name that is unit syntax',
      { packages: [], setup: null, services: [{ ...web, name: 'x\n[Service]' }] },
      'name',
    ],
    ['one name twice', { packages: [], setup: null, services: [web, web] }, 'every name may stand once'],
    ['a port out of range', { packages: [], setup: null, services: [{ ...web, port: 65536 }] }, 'port'],
    ['no service', { packages: [], setup: null, services: [] }, 'guest.manifest.services'],
    ['an empty command', { packages: [], setup: null, services: [{ ...web, command: '' }] }, 'command'],
  ];
  for (const [what, manifest, text] of refused) {
    test(`refused: ${what}`, async () => {
      const error = await evaluationError(evaluator, `${systemOf(evaluator, manifest)}.system.build.toplevel.drvPath`);
      assert.ok(error?.includes(text), `expected ${JSON.stringify(text)} in: ${error}`);
    });
  }

  test('an agent that takes passwords is refused', async () => {
    const agent = `(import (root + "/server-config/guest/agent-system.nix") { nixpkgs = ${JSON.stringify(evaluator.nixpkgs)}; system = "x86_64-linux";
      extraModules = [ { services.openssh.settings.PasswordAuthentication = lib.mkForce true; } ]; }).config`;
    const error = await evaluationError(evaluator, `${agent}.system.build.toplevel.drvPath`);
    assert.ok(error?.includes("An agent's container takes SSH keys only"), error);
  });

  test('the agent’s system evaluates; its guardrails are root’s and its token is nowhere in it', async () => {
    const agent = `(import (root + "/server-config/guest/agent-system.nix") { nixpkgs = ${JSON.stringify(evaluator.nixpkgs)}; system = "x86_64-linux"; }).config`;
    const shown = (await evaluateJson(
      evaluator,
      `let c = ${agent}; in {
        toplevel = c.system.build.toplevel.drvPath;
        policy = c.environment.etc."claude-code/managed-settings.json".text;
        profile = c.environment.loginShellInit;
        credentials = c.systemd.units."agent-credentials.service".text;
        commands = "\${c.environment.etc."claude-code/commands".source}";
        rules = "\${c.environment.etc."claude-code/rules".source}";
        guidance = lib.mapAttrs (_: each: each."L+".argument or each.d.mode) c.systemd.tmpfiles.settings.agent-guidance;
        sshd = lib.getAttrs [ "PasswordAuthentication" "PermitRootLogin" ] c.services.openssh.settings;
      }`,
    )) as Record<'toplevel' | 'policy' | 'profile' | 'credentials' | 'commands' | 'rules', string> & {
      sshd: unknown;
      guidance: unknown;
    };
    assert.match(shown.toplevel, /\.drv$/);
    // Slash commands and rules come from the store, to where the agent's user looks for them.
    assert.match(shown.commands, /^\/nix\/store\/.*commands$/);
    assert.match(shown.rules, /^\/nix\/store\/.*rules$/);
    assert.deepEqual(shown.guidance, {
      '/home/agent/.claude': '0755',
      '/home/agent/.claude/commands': '0755',
      '/home/agent/.claude/commands/berth': '/etc/claude-code/commands',
      '/home/agent/.claude/rules': '0755',
      '/home/agent/.claude/rules/berth': '/etc/claude-code/rules',
    });
    assert.deepEqual(shown.sshd, { PasswordAuthentication: false, PermitRootLogin: 'prohibit-password' });
    assert.match(
      readable(shown.credentials),
      /ExecStart=<coreutils>\/bin\/install --mode=0400 --owner=agent --group=users \/mnt\/claude-creds\/oauth_token \/run\/agent-credentials\/oauth_token/,
    );
    assert.match(shown.profile, /\[ -r \/run\/agent-credentials\/oauth_token \]/);
    const policy = JSON.parse(shown.policy) as {
      permissions: { deny: string[] };
      hooks: Record<string, { hooks: { command: string }[] }[]>;
    };
    for (const rule of ['Read(~/.ssh/**)', 'Read(//etc/shadow)', 'Bash(git push --force:*)']) {
      assert.ok(policy.permissions.deny.includes(rule), rule);
    }
    assert.match(
      policy.hooks['PreToolUse']?.[0]?.hooks[0]?.command ?? '',
      /nodejs-.*\/bin\/node \/etc\/claude-code\/hooks\/guard-tool-use\.ts$/,
    );
  });
}
