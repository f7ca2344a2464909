import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AHost } from '../../../support/a-host.ts';

test('sync tells success, applied-with-failed-units and failure apart by what runs afterwards', async (t) => {
  await t.test('success is 0 and names the system', () => {
    using host = new AHost();
    host.generations(1);
    host.program('nixos-rebuild', host.activates('new'));
    const result = host.hostctl('sync');
    assert.equal(result.status, 0, result.stderr);
    assert.match(String(result.json['summary']), /the host now runs .*\/store\/new$/);
    assert.deepEqual(host.ran()[0], `nixos-rebuild switch --flake ${host.checkout}#preview-host --no-update-lock-file`);
    assert.match(readFileSync(host.log, 'utf8'), /^\d{4}-\d\d-\d\dT\S+Z sync status 0: the host now runs/);
  });
  await t.test('active, but a unit failed: 4, naming the unit', () => {
    using host = new AHost();
    host.generations(1);
    host.program('nixos-rebuild', `${host.activates('new')}; exit 4`);
    host.program('systemctl', 'echo "caddy.service loaded failed failed Caddy"');
    const result = host.hostctl('sync');
    assert.equal(result.status, 4);
    assert.deepEqual(result.json['failedUnits'], ['caddy.service']);
  });
  await t.test('nothing was built: 1, and it says that the old system still runs', () => {
    using host = new AHost();
    host.generations(1);
    host.program('nixos-rebuild', 'echo "error: attribute missing" >&2; exit 1');
    const result = host.hostctl('sync');
    assert.equal(result.status, 1);
    assert.match(String(result.json['error']), /ended with status 1; it still runs .*system-1$/);
    assert.match(readFileSync(host.log, 'utf8'), /sync failed: nixos-rebuild switch ended with status 1/);
  });
});

test('upgrade puts the lock file back when the new inputs do not build', () => {
  using host = new AHost();
  host.generations(1);
  writeFileSync(join(host.checkout, 'flake.lock'), 'old');
  host.program('nix', `echo new > ${host.checkout}/flake.lock`);
  host.program('nixos-rebuild', 'exit 1');
  assert.equal(host.hostctl('upgrade').status, 1);
  assert.equal(readFileSync(join(host.checkout, 'flake.lock'), 'utf8'), 'old');
  assert.deepEqual(
    host
      .ran()
      .slice(0, 2)
      .map((line) => line.split(' ')[0]),
    ['nix', 'nixos-rebuild'],
  );

  host.program('nixos-rebuild', host.activates('newer'));
  assert.equal(host.hostctl('upgrade').status, 0);
  assert.equal(readFileSync(join(host.checkout, 'flake.lock'), 'utf8'), 'new\n');
});

test('an upgrade that was killed is made good by the next one', () => {
  using host = new AHost();
  host.generations(1);
  mkdirSync(host.state);
  writeFileSync(join(host.checkout, 'flake.lock'), 'half-tried');
  writeFileSync(join(host.state, 'flake.lock.before-upgrade'), 'known to build');
  host.program('nix', 'exit 1');
  assert.equal(host.hostctl('upgrade').status, 1);
  assert.equal(readFileSync(join(host.checkout, 'flake.lock'), 'utf8'), 'known to build');
});

test('rollback goes to the generation before, or to a named one, and refuses what is not there', () => {
  using host = new AHost();
  host.generations(9, 5, 1);
  for (const number of [1, 2]) {
    const store = join(host.folder, 'store', `system-${number}`);
    writeFileSync(
      join(store, 'bin', 'switch-to-configuration'),
      `#!/bin/sh\nln -sfn ${store} ${host.currentSystem}\n`,
      { mode: 0o755 },
    );
  }
  host.program('nix-env', `ln -sfn system-$4-link ${host.profile}`);
  const back = host.hostctl('rollback');
  assert.equal(back.status, 0, back.stderr);
  assert.match(String(back.json['summary']), /system-2$/);
  assert.equal(host.ran()[0], `nix-env --profile ${host.profile} --switch-generation 2`);
  assert.equal(host.hostctl('rollback', '1').status, 0);
  const none = host.hostctl('rollback');
  assert.equal(none.status, 3);
  assert.match(String(none.json['error']), /no earlier generation/);
  const unknown = host.hostctl('rollback', '7');
  assert.equal(unknown.status, 2);
  assert.match(String(unknown.json['hint']), /1, 2, 3/);
});

test('--dry-run prints the commands and changes nothing', () => {
  using host = new AHost();
  host.generations(40, 1);
  for (const verb of [['sync'], ['update'], ['upgrade'], ['rollback'], ['gc', 'full'], ['maintain']]) {
    const result = host.hostctl('--dry-run', ...verb);
    assert.equal(result.status, 0, `${verb.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, /\[RUN\]/, verb.join(' '));
  }
  assert.deepEqual(host.ran(), []);
});

test('every verb does the same from any directory, also from another checkout', () => {
  using host = new AHost();
  host.generations(40, 1);
  const elsewhere = join(host.folder, 'elsewhere');
  mkdirSync(join(elsewhere, '.git'), { recursive: true });
  writeFileSync(join(elsewhere, 'flake.nix'), '{ outputs = _: { }; }');
  writeFileSync(join(elsewhere, 'hostctl.json'), '{}');
  const verbs = 'sync update upgrade pull refresh gc harden soften rollback status backup maintain';
  const wordsAfter: Record<string, string[]> = { gc: ['full'], soften: ['--user', 'root'], backup: ['list'] };
  for (const verb of verbs.split(' ')) {
    const words = ['--dry-run', verb, ...(wordsAfter[verb] ?? [])];
    // Times differ from run to run; what is done and said does not.
    const said = (cwd: string) => {
      const { status, stderr } = host.hostctlIn(cwd, ...words);
      return `${status} ${stderr.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'now')}`;
    };
    const first = said('/');
    assert.doesNotMatch(first, /^2 /, verb);
    assert.equal(said(elsewhere), first, verb);
  }
});

test('one changing verb at a time: a live holder is respected, a dead one is taken over', () => {
  using host = new AHost();
  host.generations(1);
  mkdirSync(host.state);
  const stat = readFileSync(`/proc/${process.pid}/stat`, 'utf8');
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  writeFileSync(join(host.state, 'lock'), `${process.pid} ${started}\n`);
  const held = host.hostctl('sync');
  assert.equal(held.status, 3);
  assert.match(String(held.json['error']), new RegExp(`another hostctl \\(pid ${process.pid}\\)`));
  // The same pid with another start time is another process: its number was used again.
  writeFileSync(join(host.state, 'lock'), `${process.pid} 1\n`);
  assert.equal(host.hostctl('sync').status, 0);
});

test('wrong settings and wrong usage are status 2 and name the key', () => {
  using host = new AHost();
  host.generations(1);
  const typo = host.hostctl('frobnicate');
  assert.equal(typo.status, 2);
  assert.match(String(typo.json['error']), /unknown command 'frobnicate'/, '--json is parseable here too');
  host.settings = { ...host.settings, atribute: 'x' };
  const unknown = host.hostctl('sync');
  assert.equal(unknown.status, 2);
  assert.match(String(unknown.json['error']), /hostctl\.json key atribute/);
  host.settings = { attribute: '--help' };
  assert.match(String(host.hostctl('sync').json['error']), /key attribute: must be a plain name/);
  assert.deepEqual(host.ran(), []);
});
