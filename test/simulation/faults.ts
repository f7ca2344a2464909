/** What can go wrong, and where. Every operation that a process asks of the world passes through `effect`. */
import { OperatorError, type ErrorCode } from '../../webhook/core/errors.ts';
import type { SeededRandom } from './random.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** `operators`: they are killed, stopped and started; `words`: people tell them to destroy, roll back and update, and push back and forth. */
export const FAULT_KINDS = ['crash', 'delivery', 'github', 'stale', 'host', 'state', 'operators', 'words'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What can go wrong in the real world. The other kinds need a world that is ours inside. */
export const REAL_FAULT_KINDS = ['delivery', 'github', 'operators'] as const satisfies readonly FaultKind[];
export type RealFaultKind = (typeof REAL_FAULT_KINDS)[number];

/** Where in an operation something goes wrong. */
export type FaultPoint = 'before' | 'inside' | 'after';
const FAULT_POINTS: readonly FaultPoint[] = ['before', 'inside', 'after'];

/** Operations that change the world or the state; each has three crash points. */
export const OPERATIONS = [
  'intake.accept',
  'store.request',
  'store.liftHold',
  'store.saveWanted',
  'store.saveDoing',
  'store.saveFailure',
  'store.saveConcluded',
  'store.claimSlug',
  'store.claimHosts',
  'store.createInstance',
  'store.saveInstance',
  'store.saveSwitch',
  'store.removeInstance',
  'store.saveDatabase',
  'store.forget',
  'store.saveReport',
  'store.askForCommentLooks',
  'jobs.enqueueReconcile',
  'jobs.enqueueReport',
  'jobs.enqueueSweep',
  'jobs.finish',
  'reports.ensure',
  'sources.ensure',
  'sources.place',
  'runtime.ensureDirectory',
  'runtime.setUp',
  'runtime.start',
  'runtime.stop',
  'runtime.remove',
  'health.check',
  'routes.ensure',
  'routes.remove',
  'databases.ensure',
  'databases.remove',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** `routes.ensure:after` and the like. */
const CRASH_POINTS: readonly string[] = OPERATIONS.flatMap((operation) =>
  FAULT_POINTS.map((point) => `${operation}:${point}`),
);
export const CRASH_POINTS_TOTAL = CRASH_POINTS.length;

/** One of them is planned for each history; more often those of an operation that one history in ten comes to. */
const RARE_POINTS = CRASH_POINTS.filter((point) => point.startsWith('store.liftHold:'));
export const PLANNED_POINTS: readonly string[] = [
  ...CRASH_POINTS,
  ...Array.from({ length: 4 }, () => RARE_POINTS).flat(),
];

/** How often what goes wrong, per operation. */
export interface FaultRates {
  crash: number;
  github: number;
  stale: number;
  host: number;
  state: number;
}

export const NO_FAULTS: FaultRates = { crash: 0, github: 0, stale: 0, host: 0, state: 0 };

/** A promise that never settles: what a killed process waits for. */
function forever(): Promise<never> {
  return new Promise(() => undefined);
}

/** One operator process. Once dead, none of its promises goes on. */
export class SimulatedProcess {
  alive = true;
  readonly id: number;
  readonly #onDeath: (process: SimulatedProcess) => void;

  constructor(id: number, onDeath: (process: SimulatedProcess) => void) {
    this.id = id;
    this.#onDeath = onDeath;
  }

  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.#onDeath(this);
  }
}

export class Faults {
  rates: FaultRates = NO_FAULTS;
  /** Whether GitHub and the state are well from the first to the last moment. */
  isWell = true;
  /** `routes.ensure:after` and the like, each crash point that was hit. */
  readonly covered = new Set<string>();
  /** A point at which a process dies for certain, when it is reached for the `times`th time; so that rare points are covered too. */
  planned: { readonly point: string; times: number } | null = null;
  /** Called whenever a process reaches a point of an operation. */
  onReach: (operation: Operation, point: FaultPoint) => void = () => undefined;
  /** Told of each crash, for the story of a failing schedule. */
  onCrash: (process: SimulatedProcess, point: string) => void = () => undefined;

  readonly #random: SeededRandom;
  readonly #clock: VirtualClock;

  constructor(random: SeededRandom, clock: VirtualClock) {
    this.#random = random;
    this.#clock = clock;
  }

  /**
   * One operation of a process: may be slow, may fail before, in the middle of or after its effect, and the process may die at each of these
   * points. `half` is what an operation that was cut off leaves behind.
   */
  async effect<T>(
    process: SimulatedProcess,
    operation: Operation,
    act: () => T | Promise<T>,
    half?: () => void,
  ): Promise<T> {
    await this.#reach(process, operation, 'before');
    await this.#pause(process);
    if (this.#random.chance(this.#rateOf(operation))) throw this.#failureOf(operation);
    if (this.#crashesAt(process, operation, 'inside')) {
      half?.();
      return forever();
    }
    if (half !== undefined && this.#random.chance(this.#rateOf(operation))) {
      half();
      throw this.#failureOf(operation);
    }
    const result = await act();
    if (!process.alive) return forever();
    await this.#reach(process, operation, 'after');
    if (this.#random.chance(this.#rateOf(operation))) throw this.#failureOf(operation);
    return result;
  }

  /** A read: may be slow, changes nothing. */
  async read<T>(process: SimulatedProcess, look: () => T): Promise<T> {
    if (!process.alive) return forever();
    await this.#pause(process);
    return look();
  }

  async #reach(process: SimulatedProcess, operation: Operation, point: FaultPoint): Promise<void> {
    if (process.alive) this.onReach(operation, point);
    if (!process.alive || this.#crashesAt(process, operation, point)) await forever();
  }

  #crashesAt(process: SimulatedProcess, operation: Operation, point: FaultPoint): boolean {
    if (this.rates.crash === 0) return false;
    const name = `${operation}:${point}`;
    if (this.planned?.point === name) this.planned.times -= 1;
    const isPlanned = this.planned?.point === name && this.planned.times === 0;
    if (!isPlanned && !this.#random.chance(this.rates.crash)) return false;
    this.covered.add(name);
    this.onCrash(process, name);
    process.kill();
    return true;
  }

  async #pause(process: SimulatedProcess): Promise<void> {
    if (this.#random.chance(0.7)) return;
    await this.#clock.sleep(this.#random.integer(1, 40));
    if (!process.alive) await forever();
  }

  #rateOf(operation: Operation): number {
    if (operation === 'reports.ensure') return this.rates.github;
    if (operation.startsWith('store.') || operation.startsWith('jobs.') || operation.startsWith('intake.'))
      return this.rates.state;
    return this.rates.host;
  }

  #failureOf(operation: Operation): OperatorError {
    const [part = ''] = operation.split('.');
    const codes: Record<string, ErrorCode> = {
      intake: 'STATE_UNAVAILABLE',
      store: 'STATE_UNAVAILABLE',
      jobs: 'STATE_UNAVAILABLE',
      reports: 'GITHUB_UNREACHABLE',
      sources: 'SOURCE_UNAVAILABLE',
      routes: 'RUNTIME_FAILED',
      databases: 'DATABASE_FAILED',
    };
    return new OperatorError(codes[part] ?? 'RUNTIME_FAILED', `${operation} failed (injected).`);
  }
}
