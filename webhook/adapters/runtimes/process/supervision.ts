/** The operator's side of a supervisor: start it, find it again, end it, and end what one that died may have left. */
import { existsSync, rmSync } from 'node:fs';
import { OperatorError } from '../../../core/errors.ts';
import { STOP_GRACE_MS, SUPERVISOR_START_TIMEOUT_MS } from '../../../core/limits.ts';
import type { ObservedInstance } from '../../../ports.ts';
import { MARKER_NAME, type InstanceLayout } from './layout.ts';
import { ended, isRunning, processesWith, processOf, send, type ProcessIdentity } from './process-table.ts';
import { killTree } from './process-tree.ts';
import { readJson, writeJson, type ClaimFile, type RunFile, type StatusFile } from './supervision-files.ts';
import type { SetupWork } from './setup-run.ts';
import type { IdleSupervisor, SupervisorStarter } from './supervisor-process.ts';

/** The supervisor's own grace for its services, and what it needs to do that. */
const SUPERVISOR_STOP_MS = STOP_GRACE_MS + 3_000;

/** After SIGKILL, until what it held has ended. */
const LEFTOVERS_TIMEOUT_MS = 5_000;

function supervisorOf(layout: InstanceLayout): ProcessIdentity | null {
  const claim = readJson(layout.claim) as ClaimFile | null;
  return claim !== null && isRunning(claim) ? claim : null;
}

function statusOf(layout: InstanceLayout): StatusFile['services'] {
  return (readJson(layout.status) as StatusFile | null)?.services ?? [];
}

/** What runs of the instance, from the supervisor's own words, if that one is alive. */
export function observeSupervised(layout: InstanceLayout): ObservedInstance {
  if (supervisorOf(layout) === null) return { name: layout.name, running: false, services: [] };
  const services = statusOf(layout).map(({ name, state, restarts }) => ({ name, state, restarts }));
  return { name: layout.name, running: true, services };
}

/** Whether one supervisor runs, by us or by someone before us, is all the same. Throws START_FAILED, RUNTIME_FAILED. */
export async function startSupervised(
  layout: InstanceLayout,
  run: RunFile,
  supervisors: SupervisorStarter,
  signal: AbortSignal,
): Promise<void> {
  if (supervisorOf(layout) !== null) return;
  await endLeftovers(layout);
  writeJson(layout.run, run);
  const word = await supervisorsWord(supervisors.next(), layout, signal);
  if (word === 'running' || word === 'taken') return;
  await stopSupervised(layout);
  signal.throwIfAborted();
  if (word.startsWith('failed: '))
    throw new OperatorError('START_FAILED', `The services could not be started: ${word.slice('failed: '.length)}.`);
  throw new OperatorError('RUNTIME_FAILED', `The supervisor of ${layout.name} did not come up.`, {
    detail: supervisors.lastErrors(),
  });
}

/** Tells a supervisor what to run and waits for the one word that it says. Empty when it ended without, or was ended because it took too long. */
async function supervisorsWord(
  supervisor: IdleSupervisor,
  layout: InstanceLayout,
  signal: AbortSignal,
): Promise<string> {
  const givenUp = AbortSignal.any([signal, AbortSignal.timeout(SUPERVISOR_START_TIMEOUT_MS)]);
  const word = await supervisor.assign(layout.run, givenUp);
  if (word === '') supervisor.child.kill('SIGTERM');
  return word;
}

/**
 * Has a supervisor that stands by run the setup. Throws SETUP_FAILED and SETUP_TIMED_OUT with the last lines as detail, RUNTIME_FAILED, and the signal's
 * reason; in each case nothing of it runs any more.
 */
export async function setUpSupervised(
  work: SetupWork,
  supervisors: SupervisorStarter,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const supervisor = supervisors.next();
  const end = await supervisor.setUp(work, signal);
  // Not given back: whatever it answered, its input is closed.
  signal.throwIfAborted();
  if (end === null) {
    throw new OperatorError('RUNTIME_FAILED', 'The process that ran the setup has ended.', {
      detail: supervisors.lastErrors(),
    });
  }
  supervisors.giveBack(supervisor);
  if (end.kind === 'done') return;
  const code = end.kind === 'timed-out' ? 'SETUP_TIMED_OUT' : 'SETUP_FAILED';
  throw new OperatorError(code, `The setup command ${end.how}.`, { detail: end.lastLines });
}

/** Nothing of the instance runs afterwards: neither its supervisor nor anything that one or a setup left. */
export async function stopSupervised(layout: InstanceLayout): Promise<void> {
  const supervisor = supervisorOf(layout);
  if (supervisor !== null) {
    send(supervisor, 'SIGTERM');
    if (!(await ended(supervisor, SUPERVISOR_STOP_MS))) {
      send(supervisor, 'SIGKILL');
      await ended(supervisor, LEFTOVERS_TIMEOUT_MS);
    }
  }
  await endLeftovers(layout);
  // The claim stays: one of the dead counts for nothing, and only supervisors touch it.
  for (const path of [layout.run, layout.settingUp, layout.status]) rmSync(path, { force: true });
}

/**
 * Ends whatever was started for the instance and lives without a supervisor or after its setup. A sandbox dies with whoever started it, so
 * there is something only after a crash in its first instants; then the files that tell of it are still there. Without a sandbox a
 * process may have left its parent, so the whole process table is searched for the marker.
 */
export async function endLeftovers(layout: InstanceLayout): Promise<void> {
  if (layout.isSandboxed && ![layout.run, layout.settingUp].some((path) => existsSync(path))) return;
  const deadline = Date.now() + LEFTOVERS_TIMEOUT_MS;
  for (let left = leftoversOf(layout); left.length > 0; left = leftoversOf(layout)) {
    // Asked after looking: what we found may be the services that another operator's supervisor has just started.
    if (supervisorOf(layout) !== null) return;
    if (Date.now() > deadline) {
      const pids = left.map((each) => each.pid).join(', ');
      throw new OperatorError('RUNTIME_FAILED', `Processes of ${layout.name} do not end: ${pids}.`);
    }
    for (const each of left) killTree(each);
    for (const each of left) await ended(each, LEFTOVERS_TIMEOUT_MS);
  }
}

function leftoversOf(layout: InstanceLayout): ProcessIdentity[] {
  const known = statusOf(layout).flatMap(({ process }) => process ?? []);
  const marked = processesWith(MARKER_NAME, layout.marker);
  return [...marked, ...known.filter(isRunning)].filter((each) => processOf(each.pid) !== null);
}
