/**
 * `npm run check`: THE gate. Format, types, lint, generated files, tests; everything that is wrong is told, not only the first. Exit status 0 means
 * that the change may be pushed.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const bin = (name: string) => join(import.meta.dirname, '../node_modules/.bin', name);

const GATES: readonly { name: string; argv: readonly [string, ...string[]]; way: string }[] = [
  { name: 'format', argv: [bin('biome'), 'format', '.'], way: 'npm run format' },
  { name: 'types', argv: [bin('tsc'), '--noEmit'], way: 'correct the lines above' },
  { name: 'lint', argv: [bin('oxlint'), '--type-aware'], way: 'correct the lines above' },
  { name: 'generated files', argv: [process.execPath, 'scripts/generate-docs.ts', '--check'], way: 'npm run docs' },
  { name: 'tests', argv: [process.execPath, 'scripts/run-tests.ts'], way: 'npm test -- <file> runs one file' },
];

/** CI has run the tests already, as a user would. */
const withoutTests = process.argv.includes('--without-tests');

const failed: string[] = [];
for (const { name, argv, way } of GATES) {
  if (withoutTests && name === 'tests') continue;
  const started = performance.now();
  const [program, ...words] = argv;
  const { status, error } = spawnSync(program, words, { stdio: 'inherit', cwd: join(import.meta.dirname, '..') });
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  console.log(`${status === 0 ? '✔' : '✖'} ${name} (${seconds} s)${error === undefined ? '' : `: ${error.message}`}`);
  if (status !== 0) failed.push(`${name}: ${way}`);
}
console.log(
  failed.length === 0 ? '\nAll gates passed.' : `\nNot passed:\n${failed.map((line) => `  ${line}`).join('\n')}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
