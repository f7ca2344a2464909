/**
 * Outlives the process that brought up a test host: reads a pipe that this process holds, and when it closes (also by SIGKILL)
 * removes every host whose owner is gone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { removeAbandonedHosts } from './test-host.ts';

const owner = process.ppid;

process.stdin.resume();
process.stdin.on('end', () => {
  void (async () => {
    // A killed owner closes its pipes a moment before it is gone; one that lives on has taken its host down itself.
    for (let waitedMs = 0; process.ppid === owner && waitedMs < 2000; waitedMs += 50) await delay(50);
    await removeAbandonedHosts();
  })();
});
