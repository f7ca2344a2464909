/** An operator that does one thing and then waits to be killed: `node one-start-operator.ts <directory> <bubblewrap> <verb> <spec as JSON>`. */
import { processRuntime } from '../../webhook/adapters/runtimes/process/runtime.ts';
import { localShell } from '../../webhook/adapters/shell/local-shell.ts';
import { parsePool } from '../../webhook/core/slots.ts';
import type { InstanceSpec } from '../../webhook/ports.ts';
import { silentLog } from './silent-log.ts';

const [directory = '', useBubblewrap, verb, spec = ''] = process.argv.slice(2);
const path = process.env['PATH'] ?? '';
const pool = parsePool('127.100.0.0/21');
if (pool === null) throw new Error('the pool is a constant');
const shell = localShell({ path, home: directory });
const runtime = await processRuntime({
  directory,
  pool,
  path,
  useBubblewrap: useBubblewrap === 'true',
  shell,
  log: silentLog,
});
await runtime[verb === 'start' ? 'start' : 'setUp'](JSON.parse(spec) as InstanceSpec, new AbortController().signal);
console.log('done');
setInterval(() => {}, 60_000);
