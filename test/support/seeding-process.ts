/** Begins to make a database from a seed, to be killed while it does: `seeding-process.ts <server> <database> <template> <seed>`. */
import { openAppDatabases } from '../../webhook/adapters/postgres/app-databases.ts';
import type { DatabaseName, TemplateName } from '../../webhook/core/names.ts';
import { silentLog } from './silent-log.ts';

const [url = '', name = '', template = '', text = ''] = process.argv.slice(2);
const databases = await openAppDatabases({ url, appHost: 'localhost', appPort: 1, log: silentLog });
await databases.ensure(
  { name: name as DatabaseName, password: 'x'.repeat(24) },
  {
    template: template as TemplateName,
    path: 'seed.sql',
    read: async () => text,
    maxBytes: Number.MAX_SAFE_INTEGER,
    signal: new AbortController().signal,
  },
);
