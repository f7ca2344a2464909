/** Which sockets of this machine listen, for an error that tells an app's author what the app did instead. Linux; elsewhere nothing is known. */
import { readFile } from 'node:fs/promises';

/** State LISTEN in /proc/net/tcp (include/net/tcp_states.h). */
const LISTEN = '0A';

/** Addresses on which something listens on the port, as people write them: `127.0.0.1`, `::1`. */
export async function addressesListeningOn(port: number): Promise<string[]> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  return [...new Set(tables.flatMap((table) => listenersIn(table, port)))];
}

/** Reads a table in the form of proc_net_tcp(5): `sl local_address rem_address st …`, addresses in hexadecimal. Exported for its test. */
function listenersIn(table: string, port: number): string[] {
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === LISTEN)
    .map(([, local = '']) => local.split(':'))
    .filter(([, hexPort = '']) => Number.parseInt(hexPort, 16) === port)
    .map(([address = '']) => addressText(address));
}

/** The kernel prints each 32-bit word in the byte order of the machine; all that we run on are little-endian. */
function addressText(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
