/**
 * From what should exist and what does, the steps that lead from one to the other. Pure, and the only place where that is decided.
 *
 * Each step is idempotent and looks before it acts, so a plan may be cut short anywhere and made again: the next one starts from
 * what is then there. Steps of one stage do not depend on each other and run side by side.
 */
import { SETTLE_MAX_MS, SETTLE_QUIET_MS, SETTLE_WINDOW_MS } from './limits.ts';
import type { InstanceName } from './names.ts';
import type { Desired } from './policy.ts';
import {
  answeringInstance,
  isFailureCurrent,
  type BringUpStepName,
  type EndStepName,
  type InstanceRecord,
  type PreviewRecord,
  type RemovalStepName,
} from './preview.ts';
import { shortSha, type Revision } from './pull-request.ts';

/** What the world holds of this preview, whatever the records say. */
export interface ObservedWorld {
  /** Instances that exist as files, containers or processes. */
  readonly instances: ReadonlyMap<InstanceName, { readonly running: boolean }>;
  /**
   * The instance that the route in force points at, with the hosts of its manifest; null when it points at the status page or has other hosts; undefined
   * when there is no route.
   */
  readonly route: InstanceName | null | undefined;
  /** One that the app can use: not where it was closed for its size. */
  readonly hasDatabase: boolean;
}

/** One step of a plan, with its reason in words. */
export type Step =
  /** About a commit; `instance` where that is not the one that is being brought up. */
  | {
      readonly kind: 'bring-up';
      readonly name: BringUpStepName;
      readonly because: string;
      readonly revision: Revision;
      readonly instance?: InstanceName;
    }
  | { readonly kind: 'end'; readonly name: EndStepName; readonly because: string; readonly instance: InstanceName }
  | { readonly kind: 'removal'; readonly name: RemovalStepName; readonly because: string };

export interface Plan {
  readonly stages: readonly (readonly Step[])[];
  /** Set while a burst of pushes is waited out: when to look again. */
  readonly settleMs: number | null;
}

/** An instance that was live, is retired, and can be brought back by `preview rollback`. Only the latest is kept. */
export function rollbackInstance(record: PreviewRecord): InstanceRecord | null {
  const retired = record.instances.filter(
    (each) => each.retiredAt !== null && each.name !== record.answering && each.failedAt === null,
  );
  return retired.reduce<InstanceRecord | null>(
    (latest, each) => (latest === null || Number(each.retiredAt) > Number(latest.retiredAt) ? each : latest),
    null,
  );
}

/**
 * Whether an instance is past use: its removal has begun, or its files are gone by somebody's hand. Instances are never mended: what is left of
 * it goes, and a new one is made where one is wanted.
 */
function isLost(instance: InstanceRecord, world: ObservedWorld): boolean {
  return instance.discardedAt !== null || (instance.sourcePlacedAt !== null && !world.instances.has(instance.name));
}

/** The instance of the wanted commit that work goes on with, if there is one that has neither failed nor begun to be removed. */
export function targetInstance(record: PreviewRecord, revision: Revision): InstanceRecord | null {
  const isOfUse = (each: InstanceRecord) => each.failedAt === null && each.discardedAt === null;
  return record.instances.findLast((each) => each.revision.sha === revision.sha && isOfUse(each)) ?? null;
}

/** The target as far as it is still there: what somebody removed by hand is replaced like any other lost instance. */
function targetIn(world: ObservedWorld, record: PreviewRecord, revision: Revision): InstanceRecord | null {
  const target = targetInstance(record, revision);
  return target === null || isLost(target, world) ? null : target;
}

/** The steps from `world` to `desired`, in order, and nothing that is already as wanted. */
export function planFor(desired: Desired, record: PreviewRecord, world: ObservedWorld, now: Date): Plan {
  const settleMs = desired.kind === 'present' ? settleMsFor(desired.revision, record, now) : null;
  const stages = settleMs === null ? stagesFor(desired, record, world) : keepAlive(record, world);
  const needed = stages.map((stage) => stage.filter((step) => step !== null)).filter((stage) => stage.length > 0);
  return { stages: needed, settleMs };
}

/** How long to wait before a new instance is begun, or null when there is no reason to. */
function settleMsFor(revision: Revision, record: PreviewRecord, now: Date): number | null {
  const youngest = record.instances.at(-1);
  if (youngest === undefined || targetInstance(record, revision) !== null) return null;
  const ageMs = now.getTime() - youngest.createdAt.getTime();
  const quietMs = now.getTime() - record.requestedAt.getTime();
  const isBurst = ageMs < SETTLE_WINDOW_MS || (ageMs < SETTLE_MAX_MS && record.generation - youngest.generation >= 2);
  return isBurst && quietMs < SETTLE_QUIET_MS ? SETTLE_QUIET_MS - quietMs : null;
}

function stagesFor(desired: Desired, record: PreviewRecord, world: ObservedWorld): (Step | null)[][] {
  switch (desired.kind) {
    case 'present':
      return [
        ...bringUp(desired.revision, record, world),
        ...tidy(desired.revision, record, world),
        ...databaseOf(record, world),
      ];
    case 'unknown':
      return keepAlive(record, world);
    case 'refused':
      return tearDown(record, world, 'its code may not run here', false);
    case 'absent':
      return tearDown(
        record,
        world,
        absenceText(desired.reason),
        !(desired.reason === 'destroyed-by-operator' && record.key.subject.kind === 'pull'),
      );
  }
}

function absenceText(reason: Extract<Desired, { kind: 'absent' }>['reason']): string {
  switch (reason) {
    case 'closed':
      return 'the pull request is closed';
    case 'repository-not-allowed':
      return 'the repository is not on the allow-list';
    case 'destroyed-by-operator':
      return 'an operator destroyed it';
  }
}

/** The steps to the wanted commit, without those whose result is already there. */
function bringUp(revision: Revision, record: PreviewRecord, world: ObservedWorld): (Step | null)[][] {
  const short = shortSha(revision.sha);
  const target = targetIn(world, record, revision);
  const isStuck = isFailureCurrent(record, revision.sha) && record.failure?.retry !== 'later';
  if (isStuck) return keepAlive(record, world);

  const answering = answeringInstance(record);
  const lost = answering !== null && isLost(answering, world) ? letGo(answering) : [];
  const isLive = target !== null && target.name === record.answering && world.route === target.name;
  const isRunning = target !== null && world.instances.get(target.name)?.running === true;
  if (isLive && isRunning && target.healthyAt !== null) return [];

  const step = (name: BringUpStepName, because: string): Step => ({ kind: 'bring-up', name, because, revision });
  const placed = target?.sourcePlacedAt != null && world.instances.has(target.name);
  const setUp = placed && target.setUpAt !== null;
  const mayNeedDatabase = target?.manifest == null || target.manifest.database === 'host';
  return [
    ...lost,
    [record.slug === null ? step('claim-names', 'the preview has no name yet') : null],
    [
      world.route === undefined
        ? step('open-route', 'its URL shall answer, if only with a page that says what happens')
        : null,
      placed ? null : step('fetch-source', `commit ${short} is to be shown`),
      // The answering instance stays what visitors see until the new one has answered.
      target === null ? step('create-instance', `no instance holds commit ${short}`) : null,
    ],
    [target?.manifest == null ? step('read-manifest', 'what the app needs is not known yet') : null],
    [
      placed ? null : step('place-source', `the files of ${short} are not in place`),
      mayNeedDatabase && !(world.hasDatabase && record.database !== null)
        ? step('ensure-database', 'the app may want a database of its own')
        : null,
      // Setup runs in it: where that has run, it was built, or the runtime has none.
      setUp || target?.system != null ? null : step('build-system', 'the system it runs in is not known yet'),
    ],
    [setUp ? null : step('set-up', `setup has not run for ${short}`)],
    [isRunning && setUp ? null : step('start', `no processes of ${short} run`)],
    [isRunning && target?.healthyAt != null ? null : step('check-health', `${short} has not answered yet`)],
    [isLive ? null : step('switch-route', `the URL does not show ${short} yet`)],
  ];
}

/** While nothing new can be brought up: what answered shall go on answering. */
function keepAlive(record: PreviewRecord, world: ObservedWorld): (Step | null)[][] {
  const answering = answeringInstance(record);
  if (answering === null) return [];
  const { name: instance, revision } = answering;
  const step = (name: BringUpStepName, because: string): Step => ({
    kind: 'bring-up',
    name,
    because,
    revision,
    instance,
  });
  if (isLost(answering, world)) return letGo(answering);
  const isRunning = world.instances.get(instance)?.running === true;
  return [
    [isRunning ? null : step('start', 'its processes do not run')],
    [
      isRunning && answering.healthyAt !== null
        ? null
        : step('check-health', 'it has not answered since it was started'),
    ],
    [world.route === instance ? null : step('switch-route', 'its route is not in force')],
  ];
}

/** What answers has a database that it can use. Last, for one that is too large stays unusable and fails the run. */
function databaseOf(record: PreviewRecord, world: ObservedWorld): Step[][] {
  const answering = answeringInstance(record);
  if (answering?.manifest?.database !== 'host' || world.hasDatabase || record.database === null) return [];
  const { name: instance, revision } = answering;
  const because = 'its database is closed or gone';
  return [[{ kind: 'bring-up', name: 'ensure-database', because, revision, instance }]];
}

/** The URL shows the status page instead of an instance that is past use, and what is left of that goes. */
function letGo(lost: InstanceRecord): Step[][] {
  const because = 'the instance that the URL showed is gone';
  return [
    [{ kind: 'bring-up', name: 'open-route', because, revision: lost.revision, instance: lost.name }],
    [{ kind: 'end', name: 'discard', because, instance: lost.name }],
  ];
}

/** Instances that nobody needs any more. The one replaced last is stopped and kept, the ones before it go. */
function tidy(revision: Revision, record: PreviewRecord, world: ObservedWorld): (Step | null)[][] {
  const kept = rollbackInstance(record);
  const target = targetIn(world, record, revision);
  const others = record.instances.filter((each) => each.name !== target?.name && each.name !== record.answering);
  return [
    others.map((each): Step | null => {
      const isLastFailure =
        each.failedAt !== null && each.revision.sha === revision.sha && isFailureCurrent(record, revision.sha);
      const because = isLastFailure ? 'it has failed' : 'it was replaced';
      const isKept = (each.name === kept?.name || isLastFailure) && !isLost(each, world);
      if (!isKept) return { kind: 'end', name: 'discard', instance: each.name, because };
      return world.instances.get(each.name)?.running === true
        ? { kind: 'end', name: 'retire', instance: each.name, because }
        : null;
    }),
  ];
}

/** Backwards, and each part whether or not a record of it exists. */
function tearDown(record: PreviewRecord, world: ObservedWorld, because: string, mayForget: boolean): (Step | null)[][] {
  const instances = new Set([...record.instances.map((each) => each.name), ...world.instances.keys()]);
  const removal = (name: RemovalStepName): Step => ({ kind: 'removal', name, because });
  return [
    [world.route === undefined ? null : removal('remove-route')],
    [...instances].map((instance) => ({ kind: 'end', name: 'discard', instance, because })),
    [world.hasDatabase || record.database !== null ? removal('remove-database') : null],
    [mayForget ? removal('forget') : null],
  ];
}

/** The plan as lines that a person reads: `preview plan`. */
export function explainPlan(plan: Plan): string[] {
  const lines = plan.stages.flat().map((step) => `${step.name}${aboutText(step)}: ${step.because}`);
  return plan.settleMs === null ? lines : [...lines, `wait ${plan.settleMs} ms: more pushes are coming in`];
}

function aboutText(step: Step): string {
  if (step.kind === 'removal') return '';
  if (step.instance !== undefined) return ` ${step.instance}`;
  return step.kind === 'bring-up' ? ` ${shortSha(step.revision.sha)}` : '';
}
