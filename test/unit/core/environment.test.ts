/** What is written for readers of environment files comes back from them exactly. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import { isEnvironmentName } from '../../../webhook/core/environment-names.ts';
import { manifestFromToml } from '../../../webhook/core/app-manifest.ts';
import { environmentFileText, environmentFrom } from '../../../webhook/core/environment.ts';
import type { Sha } from '../../../webhook/core/pull-request.ts';
import { systemdEnvironment } from '../../support/systemd-environment.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-environment-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

/** All that shells and what they start read or set, as far as we know: bash's own list, its manual's, dash's, and JavaScript's. */
const known = [
  ...namesThatBashHas(),
  ...'ATTY BASH_ARGV0 BASH_MONOSECONDS BASH_REMATCH BASH_TRAPSIG CDPATH COLUMNS COPROC FCEDIT FUNCNEST GLOBIGNORE'.split(
    ' ',
  ),
  ...'HISTCMD HISTSIZE INPUTRC LANG LC_ALL LINES MAIL MAILCHECK MAILPATH MAPFILE OLDPWD OPTARG OPTERR OPTIND'.split(
    ' ',
  ),
  ...'POSIXLY_CORRECT PROMPT_COMMAND PS1 PS4 PWD READLINE_LINE REPLY SHLVL TIMEFORMAT TMOUT TMPDIR TZ _'.split(' '),
  ...'__proto__ constructor hasOwnProperty prototype toString valueOf'.split(' '),
];
const accepted = [...new Set(known)].filter(isEnvironmentName);

function namesThatBashHas(): string[] {
  const { status, stdout } = spawnSync('bash', ['--norc', '-c', 'compgen -v'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split('\n') : [];
}

const name = fc.oneof(
  { weight: 3, arbitrary: fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/).filter(isEnvironmentName) },
  { weight: 1, arbitrary: fc.constantFrom(...accepted) },
);
const nasty = fc.constantFrom(
  '\n',
  '\r',
  '\r\n',
  '"',
  "'",
  '$HOME',
  '$(id)',
  '`id`',
  '\\',
  '\\n',
  '#',
  ' ',
  '\t',
  ';',
  '=',
  '!',
  '%',
  '\u00e9',
  '\u{1f600}',
  'A=B\nPATH=/x',
  '\\"',
  '\\\\',
  '\\\n',
);
const value = fc.oneof(
  fc.array(nasty, { maxLength: 12 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.replaceAll('\0', '')),
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll('\0', '')),
);
const environment = fc.dictionary(name, value, { maxKeys: 12, noNullPrototype: true });

/** What a shell has in an environment whatever it sources: the name that it was given, and those that it makes. */
const SHELLS_OWN = new Set(['PATH', 'PWD', 'OLDPWD', 'SHLVL', '_']);

/** What a shell has in its environment after it has sourced the file. */
function sourcedBy(shell: string, file: string): Record<string, string> {
  const script = 'set -a; . "$1"; exec env -0';
  const output = execFileSync(shell, [...(shell === 'bash' ? ['--norc'] : []), '-c', script, 'sh', file], {
    // Bash takes a socket on its standard input for a remote shell and reads ~/.bashrc.
    // What it says is of locales that are not there.
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  const entries = output
    .toString('utf8')
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const);
  return Object.fromEntries(entries.filter(([key]) => !SHELLS_OWN.has(key)));
}

for (const shell of ['sh', 'bash']) {
  const isThere = spawnSync(shell, ['-c', ':']).status === 0;
  test(`${shell} sources exactly what was meant`, { skip: isThere ? false : `needs ${shell}` }, () => {
    const file = join(folder, `${shell}.env`);
    fc.assert(
      fc.property(environment, (variables) => {
        writeFileSync(file, environmentFileText(variables));
        assert.deepEqual(sourcedBy(shell, file), variables);
      }),
      // Each run starts a shell.
      { seed, numRuns: 150 },
    );
  });

  test(`${shell} keeps every name that it knows and an app may set`, {
    skip: isThere ? false : `needs ${shell}`,
  }, () => {
    const file = join(folder, `${shell}-names.env`);
    for (const text of ['v', '1', '', 'two words\n$HOME']) {
      const variables = Object.fromEntries(accepted.map((each) => [each, text]));
      writeFileSync(file, environmentFileText(variables));
      assert.deepEqual(sourcedBy(shell, file), variables, JSON.stringify(text));
    }
  });
}

test('systemd reads exactly what was meant, by its own rules', () => {
  fc.assert(
    fc.property(environment, (variables) => {
      assert.deepEqual(systemdEnvironment(environmentFileText(variables)), variables);
    }),
    { seed, numRuns: 100_000 },
  );
});

test('the reader that stands for systemd knows its traps', () => {
  assert.deepEqual(systemdEnvironment('# A=1\n;B=2\nC = x y  \nD="a\\"b"c\nE=\'a\\b\'\nF=a\\\nb\nG="1\n2"\n'), {
    C: 'x y',
    D: 'a"bc',
    E: 'a\\b',
    F: 'ab',
    G: '1\n2',
  });
});

test('128 kB come back, NUL is refused, and the order is kept', () => {
  const file = join(folder, 'large.env');
  const large = { T_LARGE: '$"\\`\n'.repeat(24_000) };
  writeFileSync(file, environmentFileText(large));
  assert.deepEqual(sourcedBy('sh', file), large);
  assert.throws(() => environmentFileText({ T_NUL: 'a\0b' }), RangeError);
  assert.equal(environmentFileText({ B: '1', A: '2' }), 'B="1"\nA="2"\n');
});

test('what an app finds: the contract’s names in its order, the host without the port that its URL has', () => {
  const manifest = manifestFromToml(
    '[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[environment]\nLOG_LEVEL = "debug"\n',
  );
  assert.ok(manifest.ok);
  const url = 'http://shop-42.localhost:8080';
  const environmentOf = (databaseUrl: string | null) =>
    environmentFrom({
      manifest: manifest.manifest,
      revision: { sha: 'a'.repeat(40) as Sha, ref: 'feature' },
      url,
      repositoryUrl: 'file:///repository.git',
      databaseUrl,
      secrets: { STRIPE_KEY: 'sk' },
    });
  assert.deepEqual(Object.entries(environmentOf('postgresql://x')), [
    ['PREVIEW_REPO_URL', 'file:///repository.git'],
    ['PREVIEW_BRANCH', 'feature'],
    ['PREVIEW_HOST', 'shop-42.localhost'],
    ['PREVIEW_URL', url],
    ['DATABASE_URL', 'postgresql://x'],
    ['STRIPE_KEY', 'sk'],
    ['PREVIEW_COMMIT', 'a'.repeat(40)],
    ['LOG_LEVEL', 'debug'],
  ]);
  assert.ok(!('DATABASE_URL' in environmentOf(null)));
});

test('names that an app may not set', () => {
  const refused = [
    '',
    '1A',
    'A B',
    'A=B',
    'A\n',
    'Ä',
    'PATH',
    'LD_PRELOAD',
    'DYLD_INSERT_LIBRARIES',
    'BASH_ENV',
    'ENV',
    'IFS',
    'NODE_OPTIONS',
    'PREVIEW_URL',
    'DATABASE_URL',
    'PORT',
    'HOST',
    'BERTH_X',
    'A'.repeat(65),
    '__proto__',
    // OPTIND ends dash's reading, the others bash does not take, or gives a value of its own.
    'OPTIND',
    ...'_ BASHOPTS BASHPID BASH_ARGV BASH_VERSINFO COMP_WORDBREAKS DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID'.split(' '),
    ...'FUNCNAME GROUPS HISTCMD LINENO PIPESTATUS PPID RANDOM SECONDS SHELLOPTS SHLVL SRANDOM UID'.split(' '),
  ];
  assert.deepEqual(refused.filter(isEnvironmentName), []);
  assert.deepEqual(
    ['A', '_a', '__', 'lower_case', 'STRIPE_KEY_2', 'LDX', 'PATHS', 'XPATH', 'UID_', 'BASHFUL', 'constructor'].filter(
      (each) => !isEnvironmentName(each),
    ),
    [],
  );
});
