import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { golden } from './golden.ts';
import { siteText, type Kind } from '../../webhook/adapters/caddy/site.ts';
import { wholePool } from '../../webhook/config/checks.ts';

/**
 * What our modules render, given to the real programs that will read it: Caddy and nft. The texts are the committed
 * copies, which golden.test.ts holds equal to what Nix renders.
 */
const caddy = process.env['CADDY'] ?? 'caddy';

function whyNot(program: string, args: string[]): string | undefined {
  return spawnSync(program, args).status === 0
    ? undefined
    : `needs ${program} (apt-get install ${program === 'nft' ? 'nftables' : program})`;
}

describe('rendered Caddyfile', { skip: whyNot(caddy, ['version']) ?? false }, caddyTests);
describe('rendered nftables rules', { skip: whyNot('nft', ['--version']) ?? false }, nftTests);

function caddyTests(): void {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'berth-caddy-'));
    mkdirSync(join(folder, 'previews'));
  });
  after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

  /** Debian's 2.6.2 knows neither of the two lines that make Caddy believe Cloudflare; NixOS's does. */
  const isOld = /^v?2\.[0-6]\./.test(spawnSync(caddy, ['version']).stdout.toString());
  for (const name of ['acme', 'cloudflare']) {
    test(`caddy adapt takes it, certificates by ${name}`, (t) => {
      const caddyfile = golden(`caddy/${name}.Caddyfile`);
      const newer = /^\s*(trusted_proxies|client_ip_headers) .*$/gm;
      if (isOld && newer.test(caddyfile))
        t.diagnostic(`${caddy} is older than 2.7: trusted_proxies and client_ip_headers are left out`);
      const text = (isOld ? caddyfile.replace(newer, '') : caddyfile).replace(
        'import /etc/caddy/previews',
        `import ${join(folder, 'previews')}`,
      );
      writeFileSync(join(folder, 'Caddyfile'), text);
      const settings = {
        domain: 'previews.example.net',
        scheme: 'https',
        directory: '/etc/caddy/previews',
        previewPool: wholePool('10.101.0.0/16'),
      } as const;
      writeFileSync(join(folder, 'previews', 'shop-7.caddy'), 'the file of a preview is not imported');
      writeFileSync(join(folder, 'previews', 'previews.site'), siteText(settings, [aKind]));
      const adapted = spawnSync(caddy, ['adapt', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile']);
      assert.equal(adapted.status, 0, adapted.stderr.toString());
      checkAdapted(JSON.parse(adapted.stdout.toString()) as AdaptedCaddy);
    });
  }
}

/** As the operator writes it for previews. */
const aKind: Kind = {
  routes: [{ path: '/', port: 3000, stripPrefix: false }],
  basicAuth: { user: 'review', hash: '$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG' },
};

interface Route {
  match?: { host?: string[] }[];
  handle: unknown[];
}
interface AdaptedCaddy {
  admin: { listen: string };
  apps: { http: { servers: Record<string, { listen: string[]; routes: Route[] }> } };
}

/** Every host that answers, every upstream that is dialled, and the admin interface are exactly those we mean. */
function checkAdapted(config: AdaptedCaddy): void {
  assert.equal(config.admin.listen, 'unix//run/caddy/admin.sock');
  const servers = Object.values(config.apps.http.servers);
  const listening = servers.flatMap((server) => server.listen).sort();
  assert.deepEqual(listening, [':443', ':80', 'unix//run/caddy/status.sock']);
  const hosts = servers.flatMap((server) => server.routes).flatMap((route) => route.match ?? []);
  assert.deepEqual(hosts.flatMap((match) => match.host ?? []).sort(), [
    '*.previews.example.net',
    'berth.example.com',
    'hooks.example.com',
  ]);
  const dials = JSON.stringify(config).match(/"dial":"[^"]*"/g) ?? [];
  assert.deepEqual([...new Set(dials)].sort(), [
    '"dial":"127.0.0.1:3100"',
    '"dial":"unix//etc/caddy/previews/status.sock"',
    '"dial":"unix//run/caddy/status.sock"',
    '"dial":"{http.regexp.found.1}:3000"',
  ]);
}

function nftTests(): void {
  const elements = `
    add element inet berth own_addresses { "ve-p1" . 10.100.0.3 : accept, "ve-p2" . 10.100.0.5 : accept }
    add element inet berth own_gateway { "ve-p1" . 10.100.0.2, "ve-p2" . 10.100.0.4 }
  `;
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'berth-nft-'));
    writeFileSync(join(folder, 'elements.nft'), elements);
    for (const name of ['tenants.nft', 'firewall.nft']) writeFileSync(join(folder, name), golden(`nftables/${name}`));
  });
  after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

  /** Commands of nft in a network namespace of its own, so that no rule of this machine's is touched. */
  const inNamespace = (...commands: string[]) =>
    spawnSync('unshare', ['--net', 'sh', '-euc', commands.map((words) => `nft ${words}`).join('\n')], {
      cwd: folder,
      encoding: 'utf8',
    });
  const namespaces = spawnSync('unshare', ['--net', 'true']).status === 0;
  const skip = namespaces ? false : 'needs the right to make a network namespace (root)';

  test('nft takes the tenant rules beside the rest of the firewall', { skip }, () => {
    const loaded = inNamespace(
      '--file firewall.nft',
      '--check --file tenants.nft',
      '--file tenants.nft',
      '--file elements.nft',
    );
    assert.equal(loaded.status, 0, loaded.stderr);
  });

  test('loading the tenant rules again keeps the elements of running containers', { skip }, () => {
    const loaded = inNamespace(
      '--file tenants.nft',
      '--file elements.nft',
      '--file tenants.nft',
      'list table inet berth',
    );
    assert.equal(loaded.status, 0, loaded.stderr);
    assert.match(loaded.stdout, /"ve-p1" \. 10\.100\.0\.3 : accept/);
    assert.match(loaded.stdout, /"ve-p2" \. 10\.100\.0\.4/);
    assert.equal(loaded.stdout.match(/iifname "ve-\*" jump antispoof/g)?.length, 1, 'each rule is there once');
  });
}
