import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { stringify } from 'smol-toml';
import { repositoryRoot } from '../../scripts/nix/evaluation.ts';
import { loadConfig, loadWebConfig } from '../../webhook/config.ts';
import { golden } from './golden.ts';

/** The berth.toml that a host renders, read by the operator itself as systemd would start it. */
type Settings = Record<string, Record<string, unknown>>;
const settings = () => JSON.parse(golden('operator/settings.json')) as Settings;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-settings-'));
});
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

test('the operator starts with what the host renders and its credentials', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' });
  writeFileSync(join(folder, 'github-app-private-key'), pem, { mode: 0o400 });
  writeFileSync(join(folder, 'github-webhook-secret'), '5f1c9a7be2d04486a3f0c2d1e8b7964f0a1b2c3d', { mode: 0o400 });
  const file = join(folder, 'berth.toml');
  writeFileSync(file, stringify(settings()));

  const unit = golden('units/berth-operator.service');
  const databaseUrl = /^Environment="DATABASE_URL=(.*)"$/m.exec(unit)?.[1];
  const config = loadConfig({ file, env: { CREDENTIALS_DIRECTORY: folder, DATABASE_URL: databaseUrl }, networks: [] });

  assert.equal(config.runtime.kind, 'nixos-container');
  assert.equal(config.github.identity.kind, 'app');
  assert.equal(config.operator.socket, '/run/berth/operator.sock');
  assert.deepEqual(config.policy.repositories, ['acme/shop']);
});

test('the web starts with the same file and its own credential', () => {
  const credentials = join(folder, 'web');
  mkdirSync(credentials);
  writeFileSync(join(credentials, 'github-webhook-secret'), '5f1c9a7be2d04486a3f0c2d1e8b7964f0a1b2c3d', {
    mode: 0o400,
  });
  const file = join(folder, 'berth.toml');
  writeFileSync(file, stringify(settings()));
  const databaseUrl = /^Environment="DATABASE_URL=(.*)"$/m.exec(golden('units/berth-web.service'))?.[1];
  const config = loadWebConfig({ file, env: { CREDENTIALS_DIRECTORY: credentials, DATABASE_URL: databaseUrl } });
  assert.deepEqual(config.server, { host: '127.0.0.1', port: 3100 });
  assert.equal(config.state.databaseUrl.reveal(), 'postgresql:///berth?host=/run/postgresql&user=berth_web');
});

/** As server-config/packages/checked-settings.nix runs it while a host is built. */
function checkSettings(value: Settings): { status: number | null; stderr: string } {
  const file = join(folder, 'candidate.toml');
  writeFileSync(file, stringify(value));
  return spawnSync(process.execPath, [join(repositoryRoot, 'scripts/check-settings.ts'), file], { encoding: 'utf8' });
}

test('the check at build takes them', () => {
  const checked = checkSettings(settings());
  assert.equal(checked.status, 0, checked.stderr);
});

test('the check at build names the option whose value is wrong', () => {
  const value = settings();
  value['server'] = { host: '127.0.0.1', port: 'nope' };
  const checked = checkSettings(value);
  assert.equal(checked.status, 1);
  assert.match(checked.stderr, /^berth\.previewOperator\.settings\.server\.port: /m);
});

test('the check at build names a key that the operator does not know', () => {
  const checked = checkSettings({ ...settings(), runtimes: { kind: 'process' } });
  assert.equal(checked.status, 1);
  assert.match(checked.stderr, /runtimes/);
});
