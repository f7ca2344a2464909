/** Runs a plan: stage by stage, steps of a stage side by side, until the end, a wait, or the first error. */
import { operatorErrorFrom } from '../core/errors.ts';
import type { RunResult, StepResult } from '../core/outcome.ts';
import { targetInstance, type Plan, type Step } from '../core/plan.ts';
import {
  instanceNamed,
  type BringUpStepName,
  type PreviewRecord,
  type RemovalStepName,
  type StepName,
} from '../core/preview.ts';
import type { Operator, PreviewLock } from '../ports.ts';
import * as up from './bring-up.ts';
import type { Look } from './observe.ts';
import * as down from './tear-down.ts';
import { tellProgress } from './tell-progress.ts';

interface Run {
  readonly op: Operator;
  readonly lock: PreviewLock;
  readonly look: Look;
  readonly signal: AbortSignal;
  /** Milliseconds per step so far; saved with the instance that is brought up. */
  readonly timings: Partial<Record<StepName, number>>;
}

/** Executes the plan. Never throws: an error of a step is the run's result, and so is an abort. */
export async function runSteps(
  op: Operator,
  lock: PreviewLock,
  look: Look,
  plan: Plan,
  signal: AbortSignal,
): Promise<RunResult> {
  const run: Run = { op, lock, look, signal, timings: {} };
  const before = plan.stages.length === 0 ? null : await op.store.load(lock.key);
  const result = await runStages(run, plan);
  if (before !== null) await saveTimings(run, before);
  return result;
}

async function runStages(run: Run, plan: Plan): Promise<RunResult> {
  let steps = 0;
  let waitMs: number | null = plan.settleMs;
  for (const stage of plan.stages) {
    const results = await runStage(run, stage);
    const failed = results.find((result) => result.kind === 'failed');
    if (failed !== undefined) return failed;
    for (const result of results)
      if (result.kind === 'waiting') waitMs = Math.min(waitMs ?? Infinity, result.retryAfterMs);
    steps += stage.length;
  }
  return waitMs === null ? { kind: 'settled', steps } : { kind: 'waiting', retryAfterMs: waitMs };
}

type StageResult = StepResult | Extract<RunResult, { kind: 'failed' }>;

/** All steps of a stage are waited for, also when one fails: nothing may still be at work when the verdict is written. */
async function runStage(run: Run, stage: readonly Step[]): Promise<StageResult[]> {
  const { op, lock } = run;
  const first = stage[0];
  if (first === undefined) return [];
  const record = await op.store.load(lock.key);
  if (record === null) return [];
  // No step reads what is being done: it is written down, and told, while they work.
  const [[told], results] = await Promise.all([
    Promise.allSettled([tellDoing(run, stage, first)]),
    Promise.all(stage.map((step) => runStep(run, record, step))),
  ]);
  if (told.status === 'rejected') throw told.reason;
  return results;
}

async function tellDoing({ op, lock }: Run, stage: readonly Step[], first: Step): Promise<void> {
  await op.store.saveDoing(lock, first.name);
  if (isWorthTelling(stage)) await tellProgress(op, lock.key);
}

/** Steps that take long enough for somebody to look at the pull request meanwhile. */
function isWorthTelling(stage: readonly Step[]): boolean {
  return stage.some((step) => step.name === 'fetch-source' || step.name === 'set-up' || step.name === 'check-health');
}

async function runStep(run: Run, record: PreviewRecord, step: Step): Promise<StageResult> {
  const startedAt = run.op.clock.now().getTime();
  try {
    run.signal.throwIfAborted();
    const result = await actOn(run, record, step);
    if (result.kind !== 'not-needed') run.timings[step.name] = run.op.clock.now().getTime() - startedAt;
    return result;
  } catch (thrown) {
    // What a step throws while it is being aborted is an echo of the abort.
    const error = operatorErrorFrom(run.signal.aborted ? run.signal.reason : thrown);
    return { kind: 'failed', step: step.name, sha: step.kind === 'bring-up' ? step.revision.sha : null, error };
  }
}

const BRING_UP: Readonly<Record<BringUpStepName, (op: Operator, work: up.BringUp) => Promise<StepResult>>> = {
  'claim-names': up.claimNames,
  'open-route': up.openRoute,
  'fetch-source': up.fetchSource,
  'create-instance': up.createInstance,
  'read-manifest': up.readManifest,
  'place-source': up.placeSource,
  'ensure-database': up.ensureDatabase,
  'build-system': up.buildSystem,
  'set-up': up.setUp,
  start: up.start,
  'check-health': up.checkHealth,
  'switch-route': up.switchRoute,
};

const REMOVAL: Readonly<Record<RemovalStepName, (op: Operator, work: down.TearDown) => Promise<StepResult>>> = {
  'remove-route': down.removeRoute,
  'remove-database': down.removeDatabase,
  forget: down.forget,
};

async function actOn(run: Run, record: PreviewRecord, step: Step): Promise<StepResult> {
  const { op, lock, signal } = run;
  const away: down.TearDown = { lock, record, generation: run.look.generation };
  switch (step.kind) {
    case 'bring-up': {
      const { revision } = step;
      const instance =
        step.instance === undefined ? targetInstance(record, revision) : instanceNamed(record, step.instance);
      return BRING_UP[step.name](op, { lock, record, revision, instance, justStarted: 'start' in run.timings, signal });
    }
    case 'end': {
      if (step.name === 'retire') return down.retire(op, away, step.instance);
      return down.discard(op, { ...away, drain: run.look.desired.kind === 'present' }, step.instance);
    }
    case 'removal':
      return REMOVAL[step.name](op, away);
  }
}

/** What each step of a first bring-up took. A later restart of the instance does not overwrite it. */
async function saveTimings(run: Run, before: PreviewRecord): Promise<void> {
  const { desired } = run.look;
  if (desired.kind !== 'present' || targetInstance(before, desired.revision)?.routedAt != null) return;
  const record = await run.op.store.load(run.lock.key);
  const instance = record === null ? null : targetInstance(record, desired.revision);
  if (instance !== null) await run.op.store.saveInstance(run.lock, instance.name, { timings: run.timings });
}
