/** What the configuration refuses: each case with the line, the key and the way out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleText } from '../../../webhook/config/explain.ts';
import { GOOD, GOOD_ENV, LAN, refusalOf, WEBHOOK_SECRET, type Given } from '../../support/a-config-file.ts';

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
  {
    name: 'a wrong type',
    given: { text: `${GOOD}[server]\nport = "3100"\n` },
    says: [/:4: server\.port must be a number/],
  },
  {
    name: 'a section for a list of sections',
    given: { text: `${GOOD}[grants]\nrepository = "acme/shop"\n` },
    says: [/:3: grants must be a list of sections: \[\[grants\]\]/],
  },
  {
    name: 'a text for a list',
    given: { text: '[github]\nrepositories = "acme/shop"\n' },
    says: [/:2: .*must be a list/],
  },
  {
    name: 'nothing at once',
    given: { text: `${GOOD}[limits]\nconcurrency = 0\n` },
    says: [/:4: .* must be at least 1/],
  },
  {
    name: 'a port beyond the range',
    given: { text: `${GOOD}[server]\nport = 65536\n` },
    says: [/:4: server\.port must be 0–65535/],
  },
  {
    name: 'a broken port',
    given: { text: `${GOOD}[server]\nport = 31.5\n` },
    says: [/:4: server\.port must be a whole number/],
  },
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
  ...[
    { pool: '8.8.0.0/16', says: /:5: gateway\.pool .*private range/ },
    { pool: '10.100.7.0/24', says: /gateway\.pool .* overlaps 10\.100\.7\.20\/24 .*eth0/ },
    { pool: '10.102.0.0/16', says: /gateway\.pool .*overlaps runtime\.pool/ },
    { pool: '10.103.0.0/16', says: /gateway\.pool .*holds server\.host \(10\.103\.0\.1\)/ },
  ].map(({ pool, says }) => ({
    name: `the addresses of previews ${pool}`,
    given: {
      text: `${GOOD}[gateway]\nkind = "caddy"\npool = "${pool}"\n[runtime]\nkind = "nixos-container"\npool = "10.102.0.0/16"\n[server]\nhost = "10.103.0.1"\n`,
      networks: LAN,
    },
    says: [says],
  })),
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
    name: 'every secret of the example',
    given: {
      text: exampleText().replace(/^# (?=(?:webhook_secret|webhook_secret_previous|token|database_url) = )/gm, ''),
      env: {},
      mode: 0o600,
    },
    says: ['webhook_secret', 'webhook_secret_previous', 'token', 'database_url'].map(
      (key) => new RegExp(`\\.${key} is an example that everybody knows`),
    ),
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
    name: 'a clock that was lost',
    given: { now: new Date(1_000) },
    says: [/The clock of this machine says 1970-01-01T00:00:01\.000Z\. Set it: timedatectl/],
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
