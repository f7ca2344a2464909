/** Brings a test host up, says so, and keeps it until it is killed: the owner that crashes in test-host.test.ts. */
import { bringUpTestHost } from './test-host.ts';

await bringUpTestHost();
process.stdout.write('up\n');
setInterval(() => undefined, 1000);
