import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** Where `npm start` puts the socket, and where a NixOS host does. */
const SOCKET_PATHS = [resolve(import.meta.dirname, '../../../.berth/run/operator.sock'), '/run/berth/operator.sock'];

/** The operator's socket: what was given, or BERTH_SOCKET, or the first usual place where there is one. */
export function socketPath(given: string | undefined): string {
  const named = given ?? process.env['BERTH_SOCKET'];
  if (named !== undefined && named !== '') return named;
  return SOCKET_PATHS.find((path) => existsSync(path)) ?? SOCKET_PATHS[0] ?? '';
}
