import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEvaluator, repositoryRoot, type Evaluator } from './nix/evaluation.ts';
import { evaluateRow, matrixGroups, namesIn, type MatrixGroup, type MatrixRow } from './nix/host-matrix.ts';
import { exposureOf } from './nix/unit-exposure.ts';
import { scoredUnits } from './nix/scored-units.ts';

/**
 * Evaluates every example host, every combination of profiles and every role on every disk layout with the real option
 * set, and writes docs/reference/host-evaluation.md: `npm run docs:host-evaluation`. Takes about ten minutes of one
 * core; what was evaluated before and has not changed is taken from the cache. Exits with 1 when one does not evaluate.
 */
const evaluator = findEvaluator();
if (typeof evaluator === 'string') {
  console.error(`evaluate-hosts ${evaluator}`);
  process.exit(2);
}
const groups = new Map<MatrixGroup, MatrixRow[]>();
for (const group of matrixGroups) groups.set(group, await evaluateGroup(evaluator, group));
writeFileSync(join(repositoryRoot, 'docs/reference/host-evaluation.md'), page(evaluator, groups));
process.exitCode = [...groups.values()].flat().every((row) => row.evaluates) ? 0 : 1;

async function evaluateGroup(evaluator: Evaluator, group: MatrixGroup): Promise<MatrixRow[]> {
  const rows: MatrixRow[] = [];
  for (const name of await namesIn(evaluator, group)) {
    const row = await evaluateRow(evaluator, group, name);
    console.log(`${group}: ${name}: ${row.evaluates ? `${row.cpuSeconds.toFixed(1)} s` : row.result}`);
    rows.push(row);
  }
  return rows;
}

function page(evaluator: Evaluator, groups: ReadonlyMap<MatrixGroup, MatrixRow[]>): string {
  const nix = spawnSync(evaluator.nixInstantiate, ['--version'], { encoding: 'utf8' }).stdout.trim();
  const release = readFileSync(join(evaluator.nixpkgs, 'lib/.version'), 'utf8').trim();
  const rows = [...groups.values()].flat();
  const seconds = rows.map((row) => row.cpuSeconds).sort((a, b) => a - b);
  return `# What evaluates

Written by \`npm run docs:host-evaluation\` (${nix}, NixOS ${release}, disko). Each row is one whole system, evaluated to
\`config.system.build.toplevel.drvPath\` with the real option set; nothing is built. Seconds are Nix's CPU time.

${rows.filter((row) => row.evaluates).length} of ${rows.length} evaluate; median ${(seconds[Math.floor(seconds.length / 2)] ?? 0).toFixed(1)} s, longest ${(seconds.at(-1) ?? 0).toFixed(1)} s.
What a tree without nixpkgs' Haskell packages can't show: the flake's \`formatter\`.

## Running it

A Debian machine, nothing is installed into it: \`eval "$(npm run -s nix-beside)"\` unpacks a current Nix beside its own programs; \`NIXPKGS\` names a checkout of
nixpkgs, \`DISKO\` one of nix-community/disko. Then \`npm run test:nix\` runs everything and \`npm run docs:host-evaluation\` writes this page. An evaluation takes 3 to 8 seconds and 1.4 GB.

CI (\`.ci/run\`) runs on a plain Debian machine with apt-get and npm. Neither has a nixpkgs tree: Debian packages Nix (\`nix-bin\`), not the collection; npm has no such package; and the
tree, 440 MB, is neither committed nor cached. So what evaluates is skipped there and says so: the modules' cases, hosts, profiles, disk layouts, guests, the flake, and that the
rendered texts are what Nix renders. CI does run all that reads the committed copies of those texts (\`test/fixtures\`) with the real programs, the options' names and types against the
committed table, the flags and the profiles' form, and that each assertion has its case. So a change of a module is not done before \`npm run test:nix\` has passed where a tree is.

## Example hosts

${table(groups.get('hosts') ?? [])}

## Profiles

\`base\` with each kind of machine, each role, and with and without \`hardened\`.

${table(groups.get('profiles') ?? [])}

## Roles on disk layouts

Each with \`base\` and \`hardened\`.

${table(groups.get('layouts') ?? [])}

## Exposure of our units

\`systemd-analyze security\` on the rendered units (\`test/fixtures/rendered/units\`): 0 is best, 10 worst; a test demands OK or better.

| unit | exposure | verdict |
|---|---|---|
${exposures().join('\n')}
`;
}

function table(rows: readonly MatrixRow[]): string {
  const line = (row: MatrixRow) =>
    `| ${row.name} | ${row.evaluates ? 'evaluates' : `fails: ${row.result}`} | ${row.cpuSeconds.toFixed(1)} |`;
  return ['| configuration | result | seconds |', '|---|---|---|', ...rows.map(line)].join('\n');
}

/** systemd-analyze goes by the file's name, so each unit is judged in a folder of its own. */
function exposures(): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'berth-exposure-'));
  try {
    return scoredUnits().map(({ name, text, unconfined }) => {
      if (unconfined !== undefined) return `| \`${name}\` | | not confined: it ${unconfined} |`;
      writeFileSync(join(folder, name), text);
      const { level, verdict } = exposureOf(join(folder, name));
      return `| \`${name}\` | ${level.toFixed(1)} | ${verdict} |`;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
