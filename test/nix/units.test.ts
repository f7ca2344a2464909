import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { golden, goldenNames } from './golden.ts';
import { scoredUnits } from '../../scripts/nix/scored-units.ts';
import { exposureOf } from '../../scripts/nix/unit-exposure.ts';

/** The units that our modules render, read by the real systemd-analyze. */
const units = goldenNames().filter((name) => name.startsWith('units/'));
const missing =
  spawnSync('systemd-analyze', ['--version']).status === 0 ? false : 'needs systemd-analyze (apt-get install systemd)';

/** Units of NixOS's own that ours name; what they do does not matter to the check of ours. */
const others = ['postgresql-setup.service', 'postgresql.service', 'nftables.service', 'nix-daemon.service'];

describe('rendered units', { skip: missing }, () => {
  let root: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'berth-units-'));
    const folder = join(root, 'etc/systemd/system');
    mkdirSync(folder, { recursive: true });
    const systemUnits = ['/usr/lib/systemd/system', '/lib/systemd/system'].find((path) => existsSync(path));
    if (systemUnits !== undefined)
      cpSync(systemUnits, join(root, 'usr/lib/systemd/system'), { recursive: true, verbatimSymlinks: true });
    for (const name of others) writeFileSync(join(folder, name), '[Service]\nType=oneshot\nExecStart=/bin/true\n');
    for (const name of units) {
      writeFileSync(join(folder, basename(name)), golden(name));
      // The programs of a store that is not here: a file that may be executed is all that verify looks for.
      for (const path of golden(name).match(/\/nix\/store\/[^\s"']+/g) ?? []) {
        mkdirSync(dirname(join(root, path)), { recursive: true });
        writeFileSync(join(root, path), '');
        chmodSync(join(root, path), 0o755);
      }
    }
  });
  after(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }));

  /** What systemd-analyze verify says of a unit in `root`, without what it says of others. */
  const complaintsAbout = (unit: string) => {
    const verified = spawnSync(
      'systemd-analyze',
      ['verify', `--root=${root}`, '--man=no', '--recursive-errors=no', unit],
      {
        encoding: 'utf8',
        env: { ...process.env, SYSTEMD_LOG_LEVEL: 'warning' },
      },
    );
    const lines = verified.stderr.split('\n').filter((line) => line.includes(unit));
    return verified.status === 0 ? lines : [...lines, `status ${verified.status}`];
  };

  for (const name of units) {
    const unit = basename(name).replace('@.', '@p1.');
    test(`systemd-analyze verify has nothing to say about ${unit}`, () => {
      assert.deepEqual(complaintsAbout(unit), []);
    });
  }

  test('the check sees a setting that systemd does not know', () => {
    writeFileSync(
      join(root, 'etc/systemd/system/wrong.service'),
      '[Service]\nExecStart=/bin/true\nProtectSytem=strict\n',
    );
    assert.match(complaintsAbout('wrong.service').join('\n'), /Unknown key.* 'ProtectSytem'/);
  });

  for (const { name, unconfined } of scoredUnits()) {
    test(`systemd-analyze security calls ${name} OK or better`, (t) => {
      if (unconfined !== undefined) {
        t.diagnostic(`${name}: not confined, it ${unconfined}`);
        return;
      }
      const exposure = exposureOf(join(root, 'etc/systemd/system', name));
      t.diagnostic(`${name}: ${exposure.level} ${exposure.verdict}`);
      assert.match(exposure.verdict, /^(OK|SAFE|PERFECT)$/);
    });
  }
});
