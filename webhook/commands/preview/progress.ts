/** How a wait is shown: a live list of steps on a terminal, a line per change elsewhere. */
import type { AskedView, PreviewDetailView } from '../../core/preview-view.ts';
import type { StepName } from '../../core/preview.ts';
import { printable, type Output } from './output.ts';
import { nameOf } from './preview-name.ts';
import { LISTED_STEPS, ownInstance, StepsSeen, type Ending, type StepRow } from './steps-seen.ts';

export interface Progress {
  show(preview: PreviewDetailView): void;
  /** The last words; nothing is printed afterwards. What was over before we looked is told with the operator's own times, from `last`. */
  end(ending: Ending, last: PreviewDetailView): Promise<void>;
}

const CACHED = 'Using cached closure';

/** One line whenever the state has other words. */
export function plainProgress(output: Output, asked: AskedView): Progress {
  let told = '';
  let isCachedTold = false;
  const tellCached = (preview: PreviewDetailView) => {
    if (isCachedTold || ownInstance(preview, asked)?.closure !== 'cached') return;
    isCachedTold = true;
    output.info(CACHED);
  };
  return {
    show(preview) {
      tellCached(preview);
      const { statusText, failure, status } = preview;
      const text = `${nameOf(preview)}: ${statusText}`;
      if (text === told) return;
      told = text;
      if (status === 'retrying') output.warn(`${text} (${failure?.message ?? ''})`);
      else output.info(text);
    },
    // What comes up at once was never shown.
    async end(_ending, last) {
      tellCached(last);
    },
  };
}

/** One row of the list. It is seen once it has a title. */
interface Row {
  readonly isOver: PromiseWithResolvers<void>;
  title: string;
  setTitle: (title: string) => void;
}

/** A list of steps that tick off, with their times. */
export async function liveProgress(asked: AskedView): Promise<Progress> {
  const { stepText } = await import('../../core/report.ts');
  const rows = new Map(
    LISTED_STEPS.map((step): [StepName, Row] => [
      step,
      { isOver: Promise.withResolvers(), title: '', setTitle: () => undefined },
    ]),
  );
  const seen = new StepsSeen(asked, performance.now());
  const draw = (steps: readonly StepRow[], preview: PreviewDetailView) => {
    const isCached = ownInstance(preview, asked)?.closure === 'cached';
    for (const step of steps) {
      const row = rows.get(step.step);
      if (row === undefined) continue;
      row.title = titleOf(step, step.step === 'build-system' && isCached ? CACHED : stepText(step.step));
      row.setTitle(row.title);
      if (step.state === 'done') row.isOver.resolve();
      if (step.state === 'not done') row.isOver.reject(new Error(printable(step.note ?? 'not done')));
    }
  };
  draw(seen.see(asked.preview, performance.now()), asked.preview);
  const running = await drawn([...rows.values()]);
  return {
    show(preview) {
      draw(seen.see(preview, performance.now()), preview);
    },
    async end(ending, last) {
      draw(seen.end(ending, last, performance.now()), last);
      for (const { isOver } of rows.values()) isOver.resolve();
      await running.ended;
    },
  };
}

function titleOf({ state, ms, note }: StepRow, text: string): string {
  if (state === 'under way') return note === null ? text : `${text} (tried again: ${printable(note)})`;
  return ms === null ? text : `${text} (${(ms / 1_000).toFixed(1)} s)`;
}

/** Draws the rows on standard error from now on, until all are over. */
async function drawn(rows: readonly Row[]): Promise<{ ended: Promise<unknown> }> {
  const { DefaultRenderer, Listr, ListrLogger, ProcessOutput } = await import('listr2');
  // Listr draws where standard output is a terminal; what counts here is standard error.
  class OnStandardError extends DefaultRenderer {
    static override nonTTY = true;
  }
  // A row that nobody waits for any more must not end the process.
  for (const { isOver } of rows) isOver.promise.catch(() => undefined);
  const list = new Listr(
    // All are open from the start, and those without a title are not seen: which steps there will be, only the operator knows.
    rows.map((row) => ({
      task: async (_: unknown, task: { title: string }) => {
        row.setTitle = (title) => {
          if (task.title !== title) task.title = title;
        };
        if (row.title !== '') row.setTitle(row.title);
        await row.isOver.promise;
      },
    })),
    {
      concurrent: true,
      renderer: OnStandardError,
      exitOnError: false,
      registerSignalListeners: false,
      rendererOptions: {
        collapseErrors: false,
        // The result belongs to standard output; this display does not.
        logger: new ListrLogger({ useIcons: true, processOutput: new ProcessOutput(process.stderr, process.stderr) }),
      },
    },
  );
  return { ended: list.run().catch(() => undefined) };
}
