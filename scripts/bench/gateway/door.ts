/** A gateway in a process of its own. Its parent sends it routes and is told how long each change took. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGateway } from '../../../webhook/adapters/gateway/gateway.ts';
import type { PreviewRoute } from '../../../webhook/core/preview-route.ts';
import { silentLog } from '../../../test/support/silent-log.ts';

export type Change =
  | { readonly ensure: PreviewRoute }
  | { readonly remove: PreviewRoute['slug'] }
  | { readonly fill: readonly PreviewRoute[] };

const directory = mkdtempSync(join(tmpdir(), 'berth-bench-gateway-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
process.once('disconnect', () => process.exit());

const gateway = await startGateway({
  directory,
  host: '127.0.0.1',
  port: 0,
  domain: 'localhost',
  scheme: 'http',
  publicPort: null,
  statusPage: () => Promise.resolve({ status: 503, html: '', text: '', retryAfterSeconds: null }),
  log: silentLog,
});

async function made(change: Change): Promise<void> {
  if ('ensure' in change) await gateway.ensure(change.ensure);
  else if ('remove' in change) await gateway.remove(change.remove);
  else await Promise.all(change.fill.map((route) => gateway.ensure(route)));
}

process.on('message', (change: Change) => {
  const begun = performance.now();
  made(change).then(
    () => process.send?.({ ms: performance.now() - begun }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.send?.({ port: gateway.port });
