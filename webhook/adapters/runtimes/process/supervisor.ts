/**
 * The process that keeps the services of one instance running. It belongs to no operator: it lives on when that one restarts or is killed, and is
 * found again through its claim file. Its services cannot outlive it: each sandbox dies with its parent, and without sandboxes the next operator
 * finds what is left by its marker.
 *
 * It is told which instance by a line on its input (standby.ts): so it can be started before there is one. It says `running`, `taken` or
 * `failed: …` on descriptor 3, once, and ends on SIGTERM. Light on purpose, because there is one for each instance: Node's own modules and a few
 * small files.
 */
import { linkSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { setPriority } from 'node:os';
import { STOP_GRACE_MS } from '../../../core/limits.ts';
import { watchMemory } from './memory-watch.ts';
import { isRunning, processOf, type ProcessIdentity } from './process-table.ts';
import { runPathFromOperator, tellOperatorLast } from './standby.ts';
import { ServiceKeeper } from './supervised-service.ts';
import { readJson, writeJson, type RunFile, type StatusFile } from './supervision-files.ts';

/** Below the operator and everything else on the machine: a busy preview must not delay a webhook's answer. */
const NICENESS = 5;

const CLAIM_LOOK_EVERY_MS = 1_000;

const assigned = await runPathFromOperator();
if (assigned === null) process.exit(0);
const runPath: string = assigned;
// What `ps` shows.
process.title = `supervisor.ts ${runPath}`;
const run = JSON.parse(readFileSync(runPath, 'utf8')) as RunFile;

/** Whether we are the one supervisor. A link either makes the file or fails, whoever else tries; a claim of the dead does not count. */
function hasClaimed(self: ProcessIdentity): boolean {
  const own = `${run.claim}.${process.pid}`;
  const dead = `${own}.dead`;
  writeJson(own, self);
  try {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      try {
        linkSync(own, run.claim);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const other = readJson(run.claim) as ProcessIdentity | null;
      if (other !== null && isRunning(other)) return false;
      // Moved away, not deleted: should a third one have claimed in between, it is put back.
      renameSync(run.claim, dead);
      const moved = readJson(dead) as ProcessIdentity | null;
      if (moved !== null && isRunning(moved)) {
        linkSync(dead, run.claim);
        return false;
      }
    }
    return false;
  } finally {
    for (const path of [own, dead]) rmSync(path, { force: true });
  }
}

const self = processOf(process.pid);
if (self === null || !hasClaimed(self)) {
  await tellOperatorLast('taken');
  process.exit(0);
}

setPriority(NICENESS);
let stopping: Promise<void> | null = null;

function saveStatus(): void {
  if (stopping === null)
    writeJson(run.status, { services: keepers.map((keeper) => keeper.status) } satisfies StatusFile);
}

const keepers = run.services.map((service) => new ServiceKeeper(service, run.logs, saveStatus));

async function stop(): Promise<void> {
  await Promise.all(keepers.map((keeper) => keeper.stop(STOP_GRACE_MS)));
  if (isOurs()) for (const path of [run.status, runPath, run.claim]) rmSync(path, { force: true });
  process.exit(0);
}

/** Whether the claim is still there and names us. */
function isOurs(): boolean {
  const claim = readJson(run.claim) as ProcessIdentity | null;
  return claim?.pid === process.pid && claim.startedAt === self?.startedAt;
}

// Whoever removes the directory, and not through an operator, means that nothing of it should run: nobody could find it again.
setInterval(() => {
  if (!isOurs()) stopOnce();
}, CLAIM_LOOK_EVERY_MS).unref();

function stopOnce(): void {
  stopping ??= stop();
}

// Whatever happens to us, nothing of the app may be left without a keeper.
process.on('uncaughtException', (error) => {
  console.error(error);
  stopOnce();
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stopOnce);

const memory = watchMemory(
  () => keepers.map((keeper) => keeper.process).filter((each) => each !== null),
  run.memoryMaxBytes,
  (largest, text) => keepers.find((keeper) => keeper.process?.pid === largest.pid)?.kill(text),
);
memory.unref();

try {
  await Promise.all(keepers.map((keeper) => keeper.start()));
  saveStatus();
  await tellOperatorLast('running');
} catch (error) {
  await tellOperatorLast(`failed: ${error instanceof Error ? error.message : String(error)}`);
  stopOnce();
}
