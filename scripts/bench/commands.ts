/**
 * How long commands take to start, beside `node -e 0` (aim: 1.8 of it), and what the decisions behind that were worth:
 * TypeScript without the compile cache, node:http, commander.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { median, printMeasured, type BenchRow } from './parts/report.ts';

const ROUNDS = 21;
const root = resolve(import.meta.dirname, '../..');
const main = join(root, 'webhook/commands/preview/main.mjs');
const BASELINE = 'node -e 0';

export async function run({ json }: { json: boolean }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bench-'));
  try {
    await printMeasured(json, async () => ({ bench: 'commands', rounds: ROUNDS, rows: await measure(folder) }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(folder: string): Promise<BenchRow[]> {
  const socket = join(folder, 'operator.sock');
  // An operator of one preview that answers at once: only the command is measured.
  const preview = { slug: 'shop-7', status: 'live', branch: 'main', url: 'http://shop-7.localhost' };
  const operator = createServer((_request, response) => response.end(JSON.stringify({ previews: [preview] })));
  operator.listen(socket);
  await once(operator, 'listening');

  writeFileSync(join(folder, 'http.mjs'), `import 'node:http';`);
  writeFileSync(
    join(folder, 'commander.mjs'),
    `import ${JSON.stringify(join(root, 'node_modules/commander/index.js'))};`,
  );
  writeFileSync(join(folder, 'typed.ts'), 'const text: string = ""; console.log(text);');
  const subjects: Record<string, string[]> = {
    [BASELINE]: ['-e', '0'],
    'preview --help': [main, '--help'],
    'preview list': [main, 'list', '--socket', socket],
    'one TypeScript file, no cache': [join(folder, 'typed.ts')],
    'importing node:http': [join(folder, 'http.mjs')],
    'importing commander': [join(folder, 'commander.mjs')],
  };
  const times = new Map(Object.keys(subjects).map((subject) => [subject, [] as number[]]));
  // Round 0 fills the compile cache and does not count.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [subject, words] of Object.entries(subjects)) {
      const ms = await startMs(words);
      if (round > 0) times.get(subject)?.push(ms);
    }
  }
  operator.close();
  const baseline = median(times.get(BASELINE) ?? []);
  return Array.from(times, ([subject, all]) => ({
    subject,
    medianMs: Number(median(all).toFixed(1)),
    minMs: Number(Math.min(...all).toFixed(1)),
    timesNode: Number((median(all) / baseline).toFixed(2)),
  }));
}

async function startMs(words: readonly string[]): Promise<number> {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const started = performance.now();
  const child = spawn(process.execPath, words, { env, stdio: 'ignore' });
  const [status] = (await once(child, 'close')) as [number | null];
  const ms = performance.now() - started;
  if (status !== 0) throw new Error(`${words.join(' ')} ended with status ${status}: ${stderrOf(words)}`);
  return ms;
}

function stderrOf(words: readonly string[]): string {
  return spawnSync(process.execPath, words, { encoding: 'utf8', timeout: 10_000 }).stderr;
}
