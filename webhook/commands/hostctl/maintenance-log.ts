import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** The log is turned over at 1 MB, and three old ones are kept. */
const rotateAtBytes = 1024 * 1024;
const keptLogs = 3;

/**
 * Appends one line `<ISO time> <verb> <text>` to the maintenance log, after turning the log over when it has reached
 * 1 MB: `maintenance.log` → `.1` → `.2` → `.3`, and the oldest goes. Control characters never reach the file.
 */
export function logMaintenance(path: string, now: Date, verb: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
  rotate(path);
  appendFileSync(path, `${now.toISOString()} ${verb} ${text.replace(/\p{Cc}/gu, ' ')}\n`, { mode: 0o640 });
}

function rotate(path: string): void {
  if (!existsSync(path) || statSync(path).size < rotateAtBytes) return;
  // From the oldest down, each a rename: killed between two of them, the next run goes on where this one stopped.
  rmSync(`${path}.${keptLogs}`, { force: true });
  for (let age = keptLogs - 1; age >= 1; age -= 1) {
    if (existsSync(`${path}.${age}`)) renameSync(`${path}.${age}`, `${path}.${age + 1}`);
  }
  renameSync(path, `${path}.1`);
}
