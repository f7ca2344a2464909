/**
 * A process that works off jobs until it is stopped or killed, for tests that kill it. Arguments: database URL, milliseconds that a
 * job takes. Says `ready`, then `began <key>` and `done <key>` on standard output.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { openState } from '../../webhook/adapters/postgres/state.ts';
import { keyText } from '../../webhook/core/pull-request.ts';
import { parsePool } from '../../webhook/core/slots.ts';
import { silentLog } from './silent-log.ts';

const [url = '', jobMs = '0'] = process.argv.slice(2);
const pool = parsePool('10.100.0.0/16');
if (pool === null) throw new Error('not a pool');
const state = await openState({ url, pool, log: silentLog });
const say = (line: string) => process.stdout.write(`${line}\n`);
const running = await state.worker.start(
  {
    async reconcile(key, signal) {
      say(`began ${keyText(key)}`);
      await delay(Number(jobMs), undefined, { signal });
      say(`done ${keyText(key)}`);
    },
    report: async () => undefined,
    sweep: async () => undefined,
  },
  { concurrency: 4 },
);
process.once('SIGTERM', () => void running.stop().then(() => state.close()));
say('ready');
