/**
 * `npm run bench -- <name> [--json]` measures one thing and prints it; `npm run bench` lists what there is. A benchmark is scripts/bench/<name>.ts,
 * exports `run({ json })`, and has what it is made of in folders beside it. It compares within one run, and passes or fails nothing.
 */
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

interface Benchmark {
  run(options: { json: boolean }): Promise<void>;
}

const folder = join(import.meta.dirname, 'bench');

const names = globSync('*.ts', { cwd: folder })
  .map((file) => basename(file, '.ts'))
  .sort();

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [name] = positionals;
if (name === undefined || positionals.length > 1 || !names.includes(name)) {
  console.error(`usage: npm run bench -- <name> [--json]\nThere are: ${names.join(', ')}`);
  process.exitCode = 2;
} else {
  const benchmark = (await import(pathToFileURL(join(folder, `${name}.ts`)).href)) as Benchmark;
  await benchmark.run({ json: values.json });
}
