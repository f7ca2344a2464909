import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, chownSync, lchownSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { parse } from 'smol-toml';
import { exampleText } from '../../webhook/config/explain.ts';
import { configSchema } from '../../webhook/config/schema.ts';
import { Secret } from '../../webhook/core/secret.ts';
import {
  aFile,
  folder,
  GOOD,
  GOOD_ENV,
  load,
  refusalOf,
  WEBHOOK_SECRET,
  type Given,
} from '../support/a-config-file.ts';

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

  // What stands where a credential should be is named, and no other source is taken in its place.
  writeFileSync(join(credentials, 'github-token'), Buffer.from([0xff, 0xfe]));
  const given = { text, env: { ...env, CREDENTIALS_DIRECTORY: credentials } };
  assert.match(refusalOf(given), /\/github-token is not UTF-8 text/);
  rmSync(join(credentials, 'github-token'));
  mkdirSync(join(credentials, 'github-token'));
  assert.match(refusalOf(given), /\/github-token is a directory; a file is needed/);
  const inAFile = { text, env: { ...env, CREDENTIALS_DIRECTORY: aFile('x') } };
  assert.match(refusalOf(inAFile), /\/github-token cannot be read \(ENOTDIR\)/);
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
