/** Inside the test host: two instances, web servers in processes of their own on the addresses of slots 1 and 2. They run as long as the host. */
import { resolve } from 'node:path';
import { host, hostStatus } from '../../../test/host/inside/a-host-runtime.ts';
import { waitUntil } from '../../../test/support/wait-until.ts';
import { instanceAddress } from './previews-by-number.ts';

const app = resolve(import.meta.dirname, 'app.ts');

/** They answer when it returns. */
export async function startStandIns(): Promise<void> {
  for (const slot of [1, 2]) {
    const address = instanceAddress(slot);
    const url = `http://${address}:3000/`;
    host('ip', 'address', 'add', `${address}/32`, 'dev', 'lo');
    host('systemd-run', '--quiet', `--unit=stand-in-${slot}`, process.execPath, app, address);
    await waitUntil(`${address} answers`, () => hostStatus('curl', '--silent', '--output', '/dev/null', url) === 0);
  }
}
