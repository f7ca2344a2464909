import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { baselineItems } from '../../../../webhook/commands/hostctl/baseline.ts';
import { readSettings } from '../../../../webhook/commands/hostctl/settings.ts';

const root = resolve(import.meta.dirname, '../../../..');

test('the settings file that the NixOS module renders is read as it is', () => {
  const settings = readSettings(resolve(root, 'test/fixtures/rendered/hostctl/hostctl.json'));
  assert.equal(settings.flake, '/etc/nixos/server-config');
  assert.equal(settings.backup?.unit, 'restic-backups-berth.service');
});

test('the items that a host may opt out of are the items of the baseline', () => {
  const declared: unknown = JSON.parse(
    readFileSync(resolve(root, 'server-config/modules/hostctl/baseline-items.json'), 'utf8'),
  );
  assert.deepEqual(declared, baselineItems);
});
