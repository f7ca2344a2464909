/** Configuration files of tests, each in a folder that goes with the process. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { inspect } from 'node:util';
import { loadConfig, type Config } from '../../webhook/config.ts';
import { OperatorError } from '../../webhook/core/errors.ts';

export const folder = mkdtempSync(join(tmpdir(), 'berth-config-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

export const WEBHOOK_SECRET = 'c0ffee'.repeat(8) + '0123456789abcdef';
export const GOOD_ENV = { BERTH_GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET, BERTH_GITHUB_TOKEN: 'a-token-of-ours' };
export const GOOD = '[github]\nrepositories = ["acme/shop"]\n';
export const LAN = [{ interface: 'eth0', cidr: '10.100.7.20/24' }];

let count = 0;
/** A configuration file of its own with this text; 0600 like one that was made with care. */
export function aFile(text: string | Buffer, mode = 0o600): string {
  const file = join(folder, `case-${(count += 1)}.toml`);
  writeFileSync(file, text, { mode });
  chmodSync(file, mode);
  return file;
}

export interface Given {
  text?: string | Buffer;
  file?: string;
  mode?: number;
  env?: Record<string, string>;
  networks?: { interface: string; cidr: string }[];
  now?: Date;
}

/** Loads it with the least that is needed beside. */
export function load(given: Given): Config {
  const file = given.file ?? aFile(given.text ?? GOOD, given.mode);
  const now = given.now === undefined ? {} : { now: given.now };
  return loadConfig({ file, env: given.env ?? GOOD_ENV, networks: given.networks ?? [], ...now });
}

/** What is said when it is refused; fails when it is accepted. */
export function refusalOf(given: Given): string {
  try {
    load(given);
  } catch (error) {
    assert.ok(error instanceof OperatorError, inspect(error));
    assert.equal(error.code, 'CONFIG_INVALID');
    return error.message;
  }
  assert.fail('the configuration was accepted');
}
