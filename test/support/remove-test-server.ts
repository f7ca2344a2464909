/**
 * Waits for its standard input to end, which it does however the test process ends, and then removes the server that that process left in
 * the folder given as argument.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

const directory = process.argv[2] ?? '';
const pidFile = join(directory, 'data', 'postmaster.pid');
await text(process.stdin);
if (existsSync(pidFile)) process.kill(Number(readFileSync(pidFile, 'utf8').split('\n')[0]), 'SIGINT');
for (let tries = 0; existsSync(pidFile) && tries < 500; tries += 1) await delay(20);
rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
