import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import { parse } from 'smol-toml';
import { loadConfig, type Config } from '../../webhook/config.ts';
import { exampleText } from '../../webhook/config/explain.ts';
import { configSchema } from '../../webhook/config/schema.ts';
import { OperatorError } from '../../webhook/core/errors.ts';
import { Secret } from '../../webhook/core/secret.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-config-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

const WEBHOOK_SECRET = 'c0ffee'.repeat(8) + '0123456789abcdef';
const GOOD_ENV = { BERTH_GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET, BERTH_GITHUB_TOKEN: 'a-token-of-ours' };
const GOOD = '[github]\nrepositories = ["acme/shop"]\n';
const LAN = [{ interface: 'eth0', cidr: '10.100.7.20/24' }];

let count = 0;
/** A configuration file of its own with this text; 0600 like one that was made with care. */
function aFile(text: string | Buffer, mode = 0o600): string {
  const file = join(folder, `case-${(count += 1)}.toml`);
  writeFileSync(file, text, { mode });
  chmodSync(file, mode);
  return file;
}

interface Given {
  text?: string | Buffer;
  file?: string;
  mode?: number;
  env?: Record<string, string>;
  networks?: { interface: string; cidr: string }[];
}

function load(given: Given): Config {
  const file = given.file ?? aFile(given.text ?? GOOD, given.mode);
  return loadConfig({ file, env: given.env ?? GOOD_ENV, networks: given.networks ?? [] });
}

function refusalOf(given: Given): string {
  try {
    load(given);
  } catch (error) {
    assert.ok(error instanceof OperatorError, inspect(error));
    assert.equal(error.code, 'CONFIG_INVALID');
    return error.message;
  }
  assert.fail('the configuration was accepted');
}

test('the smallest file is enough, and the rest has defaults', () => {
  const config = load({});
  assert.deepEqual(config.policy, { repositories: ['acme/shop'], drafts: true });
  assert.equal(config.github.webhookSecret.reveal(), WEBHOOK_SECRET);
  assert.equal(config.github.identity.kind, 'token');
  assert.deepEqual(config.server, { host: '127.0.0.1', port: 3100 });
  assert.equal(config.state.directory, join(folder, '.berth'));
  assert.equal(config.operator.socket, join(folder, '.berth/run/operator.sock'));
  assert.equal(config.runtime.pool.cidr, '127.100.0.0/21');
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.policy.repositories));
});

test('the example file is the schema’s own text, is accepted as it is, and says the defaults', () => {
  const committed = readFileSync(resolve(import.meta.dirname, '../../berth.example.toml'), 'utf8');
  assert.equal(committed, exampleText(), 'run: npm run docs');
  const { file: _, ...example } = load({ text: committed, mode: 0o644 });
  const { file: __, ...smallest } = load({ text: '[github]\nrepositories = ["your-org/your-app"]\n' });
  assert.deepEqual(example, smallest);
});

test('every key of the example is accepted when its comment sign is taken away', () => {
  const uncommented = exampleText().replace(/^# (?=\[\[|[a-z_]+ = )/gm, '');
  const parsed = configSchema.safeParse(parse(uncommented));
  assert.ok(parsed.success, inspect(parsed.error?.issues));
});

const REFUSED: { name: string; given: Given; says: RegExp[] }[] = [
  { name: 'empty', given: { text: '' }, says: [/is empty\. Copy berth\.example\.toml/] },
  { name: 'only white space', given: { text: ' \r\n\n' }, says: [/is empty/] },
  { name: 'not UTF-8', given: { text: Buffer.from([0x5b, 0xff, 0x5d]) }, says: [/not UTF-8/] },
  { name: 'not TOML', given: { text: '[github]\nrepositories = [\n' }, says: [/:\d+: .*not TOML/] },
  { name: 'writable by everybody', given: { mode: 0o666 }, says: [/written by everybody.*chmod o-w/] },
  { name: 'a key twice', given: { text: `${GOOD}drafts = true\ndrafts = false\n` }, says: [/:4: drafts stands twice/] },
  { name: 'a section twice', given: { text: `${GOOD}[github]\n` }, says: [/:3: .*stands twice/] },
  {
    name: 'a misspelled key',
    given: { text: '[github]\nallowed_repo = ["a/b"]\nrepositorys = ["a/b"]\n' },
    says: [
      /:2: github\.allowed_repo is not a key/,
      /:3: github\.repositorys .*Did you mean repositories\?/,
      /github\.repositories is missing/,
    ],
  },
  { name: 'a misspelled section', given: { text: `${GOOD}[gatway]\n` }, says: [/:3: gatway .*Did you mean gateway\?/] },
  { name: 'no allow-list', given: { text: '[github]\n' }, says: [/github\.repositories is missing/] },
  {
    name: 'an empty allow-list',
    given: { text: '[github]\nrepositories = []\n' },
    says: [/:2: github\.repositories .*at least one/],
  },
  {
    name: 'everybody',
    given: { text: '[github]\nrepositories = ["*", "*/*", "a/b/c", "../x", "-x/y", "x/.git"]\n' },
    says: [
      /repositories\[0\]/,
      /repositories\[1\]/,
      /repositories\[2\]/,
      /repositories\[3\]/,
      /repositories\[4\]/,
      /repositories\[5\]/,
    ],
  },
  { name: 'a wrong type', given: { text: `${GOOD}[server]\nport = "3100"\n` }, says: [/:4: server\.port/] },
  {
    name: 'a port beyond the range',
    given: { text: `${GOOD}[server]\nport = 65536\n` },
    says: [/:4: server\.port must be 0–65535/],
  },
  { name: 'a broken port', given: { text: `${GOOD}[server]\nport = 31.5\n` }, says: [/:4: server\.port/] },
  {
    name: 'one port for two',
    given: { text: `${GOOD}[gateway]\nport = 3100\n` },
    says: [/:4: gateway\.port is 3100, which is server\.port/],
  },
  {
    name: 'one port for two, on all addresses',
    given: { text: `${GOOD}[gateway]\nhost = "0.0.0.0"\nport = 3100\n` },
    says: [/:5: gateway\.port/],
  },
  ...[
    'Example.com',
    'a b',
    '10.0.0.1',
    '-x.com',
    'a..b',
    'x_y.com',
    '*.x.com',
    'a/b',
    'x{',
    `${'a'.repeat(60)}.`.repeat(4),
  ].map((domain) => ({
    name: `the domain ${domain.slice(0, 20)}`,
    given: { text: `${GOOD}[gateway]\ndomain = ${JSON.stringify(domain)}\n` },
    says: [/:4: gateway\.domain/],
  })),
  ...[
    '10.100.0.0',
    '10.100.0.0/33',
    '10.100.0.1/16',
    '300.0.0.0/16',
    '10.0.0.0/4',
    '10.0.0.0/30',
    'fd00::/64',
    'x',
  ].map((pool) => ({
    name: `the pool ${pool}`,
    given: { text: `${GOOD}[runtime]\npool = "${pool}"\n` },
    says: [/:4: runtime\.pool must be an IPv4 network/],
  })),
  {
    name: 'a pool that holds our listener',
    given: { text: `${GOOD}[runtime]\npool = "127.0.0.0/21"\n` },
    says: [/:4: runtime\.pool .*holds server\.host/, /holds gateway\.host/],
  },
  {
    name: 'a pool that the process runtime cannot use',
    given: { text: `${GOOD}[runtime]\npool = "10.1.0.0/16"\n` },
    says: [/must lie inside 127\.0\.0\.0\/8/],
  },
  {
    name: 'a pool with more slots than ports',
    given: { text: `${GOOD}[runtime]\npool = "127.100.0.0/16"\n` },
    says: [/:4: runtime\.pool .*more than 1407 slots/],
  },
  {
    name: 'a pool of public addresses',
    given: { text: `${GOOD}[runtime]\nkind = "nixos-container"\npool = "8.8.0.0/16"\n` },
    says: [/:5: runtime\.pool .*private range/],
  },
  {
    name: 'a pool that overlaps the LAN',
    given: { text: `${GOOD}[runtime]\nkind = "nixos-container"\n`, networks: LAN },
    says: [/runtime\.pool \(10\.100\.0\.0\/16\) overlaps 10\.100\.7\.20\/24 .*eth0/],
  },
  {
    name: 'a token over plain http',
    given: { text: `${GOOD}api_url = "http://api.example.com"\n` },
    says: [/:3: github\.api_url must be an https/],
  },
  {
    name: 'no secrets at all',
    given: { env: {} },
    says: [/github\.webhook_secret is missing.*openssl rand/, /github\.token is missing/],
  },
  {
    name: 'a short webhook secret',
    given: { env: { ...GOOD_ENV, BERTH_GITHUB_WEBHOOK_SECRET: 'x'.repeat(31) } },
    says: [/BERTH_GITHUB_WEBHOOK_SECRET has fewer than 32 bytes/],
  },
  {
    name: 'a short previous secret',
    given: { env: { ...GOOD_ENV, BERTH_GITHUB_WEBHOOK_SECRET_PREVIOUS: 'short' } },
    says: [/SECRET_PREVIOUS has fewer than 32/],
  },
  {
    name: 'a webhook secret of one character',
    given: { env: { ...GOOD_ENV, BERTH_GITHUB_WEBHOOK_SECRET: 'x'.repeat(64) } },
    says: [/made of a few characters/],
  },
  {
    name: 'the example’s webhook secret',
    given: { env: { ...GOOD_ENV, BERTH_GITHUB_WEBHOOK_SECRET: 'replace-this-with-the-output-of-openssl-rand-hex-32' } },
    says: [/is an example that everybody knows/],
  },
  {
    name: 'an empty secret',
    given: { env: { ...GOOD_ENV, BERTH_GITHUB_TOKEN: '' } },
    says: [/BERTH_GITHUB_TOKEN is empty/],
  },
  {
    name: 'a misspelled variable',
    given: { env: { ...GOOD_ENV, BERTH_GITHUB_WEBHOOK_SECRET_OLD: WEBHOOK_SECRET } },
    says: [/BERTH_GITHUB_WEBHOOK_SECRET_OLD is not a variable that we know/],
  },
  {
    name: 'a secret in a file that others read',
    given: { text: `${GOOD}webhook_secret = "${WEBHOOK_SECRET}"\n`, mode: 0o644 },
    says: [/:3: github\.webhook_secret is a secret in a file that others may read \(mode 0644\)/],
  },
  {
    name: 'a database that is none',
    given: { env: { ...GOOD_ENV, DATABASE_URL: 'mysql://x' } },
    says: [/DATABASE_URL must be a URL such as postgresql/],
  },
  {
    name: 'half an App',
    given: { text: `${GOOD}app_id = 7\n` },
    says: [/github\.installation_id is missing/, /github\.app_private_key is missing/],
  },
  {
    name: 'a private key that is none',
    given: { env: { ...GOOD_ENV, BERTH_GITHUB_APP_PRIVATE_KEY: 'nonsense' } },
    says: [/APP_PRIVATE_KEY is not a private key in PEM form/],
  },
  {
    name: 'a grant of our own names',
    given: {
      text: `${GOOD}[[grants]]\nrepository = "acme/shop"\nsecrets = ["GITHUB_TOKEN", "PATH", "LD_PRELOAD", ".*", "DATABASE_URL"]\n`,
    },
    says: [/:5: grants\[0\]\.secrets\[0\]/, /secrets\[1\]/, /secrets\[2\]/, /secrets\[3\]/, /secrets\[4\]/],
  },
  {
    name: 'a grant without a value',
    given: { text: `${GOOD}[[grants]]\nrepository = "acme/shop"\nsecrets = ["STRIPE_KEY"]\n` },
    says: [/:5: grants\[0\]\.secrets no value is given for STRIPE_KEY/],
  },
  {
    name: 'a socket path that does not fit',
    given: { text: `${GOOD}[operator]\nsocket = "/run/${'x'.repeat(120)}"\n` },
    says: [/:4: operator\.socket .*longer than the 103 bytes/],
  },
];

for (const { name, given, says } of REFUSED) {
  test(`refused: ${name}`, () => {
    const message = refusalOf(given);
    for (const pattern of says) assert.match(message, pattern);
    assert.ok(!message.includes(WEBHOOK_SECRET), 'a secret stands in the message');
  });
}

test('a file that is not there, or is no file, is named with the way out', () => {
  assert.match(
    refusalOf({ file: join(folder, 'none.toml') }),
    /none\.toml: there is no such file\. Copy berth\.example\.toml/,
  );
  const directory = join(folder, 'directory.toml');
  mkdirSync(directory);
  assert.match(refusalOf({ file: directory }), /is a directory/);
  assert.match(refusalOf({ file: '/dev/null' }), /is not a regular file/);
});

test('all problems are told at once, in the order of the file', () => {
  const text = '[github]\nrepositories = []\n[server]\nprot = 1\n[gateway]\ndomain = "A"\n[limits]\nconcurrency = 0\n';
  const lines = refusalOf({ text, env: { BERTH_GITHUB_WEBHOOK_SECRET: 'short' } })
    .split('\n')
    .slice(1);
  const places = lines.map((line) => /(?::(\d+))?: (\S+)/.exec(line)?.slice(1).join(' ').trim());
  assert.deepEqual(places, [
    '1 github.token',
    '2 github.repositories',
    '4 server.prot',
    '6 gateway.domain',
    '8 limits.concurrency',
    'BERTH_GITHUB_WEBHOOK_SECRET',
  ]);
});

test('Windows line ends and a byte order mark do no harm, and lines are still right', () => {
  assert.deepEqual(load({ text: '\uFEFF[github]\r\nrepositories = ["acme/shop"]\r\n' }).policy.repositories, [
    'acme/shop',
  ]);
  assert.match(
    refusalOf({ text: '\uFEFF[github]\r\nrepositories = ["acme/shop"]\r\n[server]\r\nport = -1\r\n' }),
    /:4: server\.port/,
  );
});

test('a line inside a text of several lines is not taken for a key', () => {
  const text = `${GOOD}[secrets]\nvalues_file = """\n[server]\nport = 1\n"""\n[server]\nport = -1\n`;
  assert.match(refusalOf({ text }), /:9: server\.port/);
});

test('a file or a link of another user is refused', {
  skip: process.getuid?.() === 0 ? false : 'needs root, to give a file away',
}, () => {
  const given = aFile(GOOD);
  chownSync(given, 4242, 4242);
  assert.match(refusalOf({ file: given }), /belongs to another user \(uid 4242\)/);
  const link = join(folder, 'link.toml');
  symlinkSync(aFile(GOOD), link);
  assert.equal(load({ file: link }).file, link, 'an own link is followed');
  lchownSync(link, 4242, 4242);
  assert.match(refusalOf({ file: link }), /symbolic link that belongs to another user/);
});

test('secrets come from the environment first, then credentials, then files, then the file itself', () => {
  const credentials = join(folder, 'credentials');
  mkdirSync(credentials);
  writeFileSync(join(credentials, 'github-token'), 'from-credential\n');
  const secretFile = join(folder, 'token');
  writeFileSync(secretFile, 'from-file\n', { mode: 0o600 });
  const text = `${GOOD}token = "inline"\ntoken_file = "token"\n`;
  const token = (given: Given) => {
    const { identity } = load(given).github;
    return identity.kind === 'token' ? identity.token.reveal() : null;
  };
  const env = { BERTH_GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET };
  assert.equal(
    token({ text, env: { ...env, BERTH_GITHUB_TOKEN: 'from-env', CREDENTIALS_DIRECTORY: credentials } }),
    'from-env',
  );
  assert.equal(token({ text, env: { ...env, CREDENTIALS_DIRECTORY: credentials } }), 'from-credential');
  assert.equal(token({ text, env }), 'from-file');
  assert.equal(token({ text: `${GOOD}token = "inline"\n`, env }), 'inline');
  chmodSync(secretFile, 0o640);
  assert.match(refusalOf({ text, env }), /:4: github\.token_file token may be read by others \(mode 0640\)/);
});

test('a GitHub App’s key must be RSA without passphrase, and stands above a token', () => {
  const app = `${GOOD}app_id = 7\ninstallation_id = 8\n`;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const identity = load({ text: app, env: { ...GOOD_ENV, BERTH_GITHUB_APP_PRIVATE_KEY: pem } }).github.identity;
  assert.deepEqual({ ...identity, privateKey: null }, { kind: 'app', appId: 7, installationId: 8, privateKey: null });
  const locked = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();
  assert.match(
    refusalOf({ text: app, env: { ...GOOD_ENV, BERTH_GITHUB_APP_PRIVATE_KEY: locked } }),
    /protected by a passphrase/,
  );
  const other = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  assert.match(
    refusalOf({ text: app, env: { ...GOOD_ENV, BERTH_GITHUB_APP_PRIVATE_KEY: other } }),
    /is not an RSA key/,
  );
});

test('values of the apps’ secrets have a file of their own, and ours are refused there', () => {
  const grant = `${GOOD}[secrets]\nvalues_file = "values"\n[[grants]]\nrepository = "acme/*"\nsecrets = ["STRIPE_KEY"]\n`;
  const values = join(folder, 'values');
  writeFileSync(values, 'STRIPE_KEY = "shared"\n["Acme/Shop"]\nSTRIPE_KEY = "own"\n', { mode: 0o600 });
  const { repositorySecrets } = load({ text: grant });
  assert.equal(repositorySecrets.values.shared['STRIPE_KEY']?.reveal(), 'shared');
  assert.equal(repositorySecrets.values.own['acme/shop']?.['STRIPE_KEY']?.reveal(), 'own');

  writeFileSync(values, `STRIPE_KEY = "${GOOD_ENV.BERTH_GITHUB_TOKEN}"\n`);
  assert.match(refusalOf({ text: grant }), /STRIPE_KEY has the same value as our own BERTH_GITHUB_TOKEN/);
  writeFileSync(values, 'STRIPE_KEY = "sk_canary\n');
  const message = refusalOf({ text: grant });
  assert.match(message, /values:1 is not TOML/);
  assert.ok(!message.includes('sk_canary'));
  chmodSync(values, 0o644);
  assert.match(refusalOf({ text: grant }), /:4: secrets\.values_file values may be read by others/);
});

test('a secret shows itself to nobody who does not ask for it', () => {
  const secret = new Secret('canary');
  const shown = [
    inspect(secret),
    inspect({ deep: { secret } }, { depth: 5, showHidden: true }),
    JSON.stringify({ secret }),
    String(secret),
    inspect(load({})),
  ];
  for (const text of shown) {
    assert.ok(!text.includes('canary') && !text.includes(WEBHOOK_SECRET), text);
    assert.match(text, /\[redacted\]/);
  }
  assert.equal(secret.reveal(), 'canary');
});
