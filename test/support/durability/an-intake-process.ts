/**
 * What has to be durable and nothing else, as a process that may be killed: the service's webhook listener over the service's intake.
 * `an-intake-process.ts <database URL> <webhook secret>`; sends its port to its parent, and ends with it.
 */
import type { AddressInfo } from 'node:net';
import { createWebhookSource } from '../../../webhook/adapters/github/webhook-source.ts';
import { createLog } from '../../../webhook/adapters/logging/pino-log.ts';
import { openState } from '../../../webhook/adapters/postgres/state.ts';
import { parsePool } from '../../../webhook/core/slots.ts';
import { createMetrics } from '../../../webhook/http/metrics.ts';
import { buildWebhookServer } from '../../../webhook/http/server.ts';

const [url = '', secret = ''] = process.argv.slice(2);
const pool = parsePool('10.100.0.0/16');
if (pool === null) throw new Error('not a pool');
const log = createLog({ level: 'info', secrets: [secret] });
const state = await openState({ url, pool, log });
const app = await buildWebhookServer({
  source: createWebhookSource({ secrets: [secret], policy: { repositories: ['acme/shop'], drafts: true } }),
  intake: state.intake,
  isReady: () => state.isReady(),
  metrics: createMetrics({ store: state.store, log }),
  log,
});
await app.listen({ host: '127.0.0.1', port: 0 });
process.send?.({ port: (app.server.address() as AddressInfo).port });
process.on('disconnect', () => process.exit(0));
