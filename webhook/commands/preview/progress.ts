/** How a wait is shown: a live list of steps on a terminal, a line per change elsewhere. */
import type { FailureView, PreviewDetailView } from '../../core/preview-view.ts';
import type { StepName } from '../../core/preview.ts';
import type { Output } from './output.ts';

export interface Progress {
  show(preview: PreviewDetailView): void;
  /** The last words; nothing is printed afterwards. What was over before we looked is told with the operator's own times, from `last`. */
  end(failure: FailureView | null, last: PreviewDetailView): Promise<void>;
}

const CACHED = 'Using cached closure';

/** Whether an instance that was not shown before runs what had been built already. */
function usesCachedClosure({ instances }: PreviewDetailView, before: PreviewDetailView): boolean {
  const old = new Set(before.instances.filter((each) => each.state !== 'coming up').map((each) => each.name));
  const newest = instances.at(-1);
  return newest?.closure === 'cached' && !old.has(newest.name);
}

/** One line whenever the state has other words. */
export function plainProgress(output: Output, before: PreviewDetailView): Progress {
  let told = '';
  let isCachedTold = false;
  const tellCached = (preview: PreviewDetailView) => {
    if (isCachedTold || !usesCachedClosure(preview, before)) return;
    isCachedTold = true;
    output.info(CACHED);
  };
  return {
    show(preview) {
      tellCached(preview);
      const { slug, key, statusText, failure, status } = preview;
      const text = `${slug ?? key}: ${statusText}`;
      if (text === told) return;
      told = text;
      if (status === 'retrying') output.warn(`${text} (${failure?.message ?? ''})`);
      else output.info(text);
    },
    // What comes up at once was never shown.
    async end(_failure, last) {
      tellCached(last);
    },
  };
}

/** The steps that a person can follow, in the order in which they are done. The others take no time that one would notice. */
const SHOWN_STEPS: readonly StepName[] = [
  'fetch-source',
  'place-source',
  'ensure-database',
  'build-system',
  'set-up',
  'start',
  'check-health',
  'switch-route',
];
const ORDER: readonly StepName[] = [
  'look',
  'claim-names',
  'open-route',
  'create-instance',
  'read-manifest',
  ...SHOWN_STEPS,
];

/** A list of steps that tick off, with their times. */
export async function liveProgress(before: PreviewDetailView): Promise<Progress> {
  const [{ DefaultRenderer, Listr, ListrLogger, ProcessOutput }, { stepText }] = await Promise.all([
    import('listr2'),
    import('../../core/report.ts'),
  ]);
  // Listr draws where standard output is a terminal; what counts here is standard error.
  class OnStandardError extends DefaultRenderer {
    static override nonTTY = true;
  }
  const turns = new Map(SHOWN_STEPS.map((step) => [step, Promise.withResolvers<number | null>()]));
  let isCached = false;
  // A turn that nobody waits for any more must not end the process.
  for (const turn of turns.values()) turn.promise.catch(() => undefined);
  const list = new Listr(
    SHOWN_STEPS.map((step) => ({
      title: stepText(step),
      task: async (_: unknown, task: { title: string }) => {
        const ms = await turns.get(step)?.promise;
        const title = step === 'build-system' && isCached ? CACHED : stepText(step);
        if (typeof ms === 'number') task.title = `${title} (${(ms / 1_000).toFixed(1)} s)`;
      },
    })),
    {
      renderer: OnStandardError,
      exitOnError: true,
      registerSignalListeners: false,
      rendererOptions: {
        collapseErrors: false,
        // The result belongs to standard output; this display does not.
        logger: new ListrLogger({ useIcons: true, processOutput: new ProcessOutput(process.stderr, process.stderr) }),
      },
    },
  );
  const running = list.run().catch(() => undefined);
  const beganAt = new Map<StepName, number>();
  let timings: Readonly<Partial<Record<StepName, number>>> = {};
  // The operator's own figure where it is there yet, or else how long we have seen the step.
  const msOf = (step: StepName) => timings[step] ?? elapsedSince(beganAt.get(step));
  const tick = (until: number) => {
    for (const step of SHOWN_STEPS) if (ORDER.indexOf(step) < until) turns.get(step)?.resolve(msOf(step));
  };
  return {
    show(preview) {
      const { instances, step } = preview;
      timings = instances.at(-1)?.timingsMs ?? {};
      isCached = usesCachedClosure(preview, before);
      if (step === null) return;
      tick(ORDER.indexOf(step));
      if (!beganAt.has(step)) beganAt.set(step, performance.now());
    },
    async end(failure, last) {
      isCached = usesCachedClosure(last, before);
      timings = last.instances.at(-1)?.timingsMs ?? {};
      tick(failure === null ? Infinity : ORDER.indexOf(failure.step));
      if (failure !== null) turns.get(failure.step)?.reject(new Error(failure.message));
      for (const turn of turns.values()) turn.reject(new Error('not done'));
      await running;
    },
  };
}

function elapsedSince(began: number | undefined): number | null {
  return began === undefined ? null : performance.now() - began;
}
