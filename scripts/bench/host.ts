/**
 * A preview's whole life on the real stack: from the acceptance of a delivery to the URL, an update, a rollback, a close. Everything is real but
 * GitHub: systemd, nspawn, nftables, Caddy, PostgreSQL, Nix, on a test host of its own. Each part is named, with whose time it is. All of it twice: alone, and
 * beside other live previews.
 */
import { join, resolve } from 'node:path';
import { bringUpTestHost } from '../../test/host/test-host.ts';
import { printMeasured, type BenchRow } from './parts/report.ts';

const ROUNDS = 9;
/** What is ours must not grow with them. Each is a container with its systemd. */
const BESIDE = 20;

/** Measures and prints: JSON `{bench, machine, rows}` or a table. Needs root and the test host's packages. */
export async function run({ json }: { json: boolean }): Promise<void> {
  await printMeasured(json, async () => {
    await using host = await bringUpTestHost();
    const script = join(resolve(import.meta.dirname), 'host/lives.ts');
    const measured = await host.run(['node', script, String(ROUNDS), String(BESIDE)], { cwd: '/tmp' });
    const rows = JSON.parse(measured.stdout.split('\n').at(-1) ?? '') as BenchRow[];
    return { bench: 'host', rounds: ROUNDS, rows };
  });
}
