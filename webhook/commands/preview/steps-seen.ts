/**
 * Which steps a live list shows, and how each stands. Pure: what the operator said goes in, rows come out. A row says no more than was said: a step
 * is done once a later one was under way, or when the operator has a time for it on the instance that came up meanwhile.
 */
import type { AskedView, FailureView, InstanceView, PreviewDetailView } from '../../core/preview-view.ts';
import type { StepName } from '../../core/preview.ts';

export interface StepRow {
  readonly step: StepName;
  readonly state: 'under way' | 'done' | 'not done';
  /** The operator's own figure where it is there, or else how long we have seen the step. Null until it is done. */
  readonly ms: number | null;
  /** Why it is not done, or is tried again. */
  readonly note: string | null;
}

/** How a wait ended: what was asked for is there, or not, and why. */
export type Ending =
  | { readonly kind: 'done' }
  /** `failure` where the operator has said at which step. */
  | { readonly kind: 'failed'; readonly message: string; readonly failure: FailureView | null };

/** In the order in which they are done. */
const BRING_UP: readonly StepName[] = [
  'look',
  'claim-names',
  'open-route',
  'fetch-source',
  'create-instance',
  'read-manifest',
  'place-source',
  'ensure-database',
  'build-system',
  'set-up',
  'start',
  'check-health',
  'switch-route',
];
const REMOVAL: readonly StepName[] = ['look', 'remove-route', 'discard', 'remove-database', 'forget'];

/** Every step that can have a row. */
export const LISTED_STEPS: readonly StepName[] = [...BRING_UP, ...REMOVAL.slice(1)];

/** What a person follows also where it was over before we looked. The others take no time that one would notice. */
const TOLD_AFTERWARDS: ReadonlySet<StepName> = new Set([
  'fetch-source',
  'place-source',
  'ensure-database',
  'build-system',
  'set-up',
  'start',
  'check-health',
  'switch-route',
]);

/** The instance that came up for what was asked; null while there is none, and where none is made: at a rollback, a restart or a removal. */
export function ownInstance({ instances }: PreviewDetailView, asked: AskedView): InstanceView | null {
  if (asked.wantedCommit === null) return null;
  const older = new Set(asked.preview.instances.filter((each) => each.state !== 'coming up').map((each) => each.name));
  const newest = instances.at(-1);
  return newest === undefined || older.has(newest.name) ? null : newest;
}

/** What has been seen of the steps of one wait. Times are milliseconds of any clock that does not go back. */
export class StepsSeen {
  readonly #asked: AskedView;
  readonly #order: readonly StepName[];
  readonly #beganAt: Map<StepName, number>;
  /** Where the operator is; every wait begins with its look at what is wanted. */
  #at: StepName = 'look';
  #retry: FailureView | null = null;

  constructor(asked: AskedView, now: number) {
    this.#asked = asked;
    this.#order = asked.wantedCommit === null ? REMOVAL : BRING_UP;
    this.#beganAt = new Map([['look', now]]);
  }

  /** The rows after the operator has said this. */
  see(preview: PreviewDetailView, now: number): StepRow[] {
    const { failure, status } = preview;
    // A failure from before the wish is none of this wait.
    this.#retry =
      status === 'retrying' && failure !== null && failure.at >= this.#asked.preview.requestedAt ? failure : null;
    const step = preview.step ?? this.#retry?.step;
    if (step !== undefined) this.#reach(step, now);
    return this.#rows(preview, now, () => ({ state: 'under way', note: null }));
  }

  /** Never back: a row that was shown as done stays so, also when another try begins at the first step. */
  #reach(step: StepName, now: number): void {
    if (this.#order.indexOf(step) < this.#order.indexOf(this.#at)) return;
    this.#at = step;
    if (!this.#beganAt.has(step)) this.#beganAt.set(step, now);
  }

  /** The rows at the end: nothing is under way any more. `last` is what the operator said last. */
  end(ending: Ending, last: PreviewDetailView, now: number): StepRow[] {
    this.#retry = null;
    if (ending.kind === 'done') {
      this.#at = this.#order.at(-1) ?? this.#at;
      return this.#rows(last, now, () => ({ state: 'done', note: null }));
    }
    const { failure, message } = ending;
    if (failure !== null) this.#reach(failure.step, now);
    return this.#rows(last, now, (step) => ({
      state: 'not done',
      note: step !== this.#at ? 'not done' : (failure?.message ?? message),
    }));
  }

  /** `open` says how the steps stand that none has followed yet. */
  #rows(
    preview: PreviewDetailView,
    now: number,
    open: (step: StepName) => { state: StepRow['state']; note: string | null },
  ): StepRow[] {
    const timings = ownInstance(preview, this.#asked)?.timingsMs ?? {};
    const position = this.#order.indexOf(this.#at);
    return this.#order.flatMap((step, index): StepRow[] => {
      const began = this.#beganAt.get(step);
      const toldMs = timings[step];
      if (began === undefined && (toldMs === undefined || !TOLD_AFTERWARDS.has(step))) return [];
      const isOver = index < position || (toldMs !== undefined && step !== this.#at);
      const { state, note } = isOver ? { state: 'done' as const, note: null } : open(step);
      const ms = state === 'done' ? (toldMs ?? now - (began ?? now)) : null;
      return [{ step, state, ms, note: step === this.#retry?.step ? this.#retry.message : note }];
    });
  }
}
