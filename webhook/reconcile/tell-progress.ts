import { PROGRESS_TOLD_AFTER_MS } from '../core/limits.ts';
import type { PreviewKey } from '../core/pull-request.ts';
import type { Operator } from '../ports.ts';

/** Asks for the pull request to be told what is under way, should it still be so in a moment. How it ended is told at once, by conclude.ts. */
export async function tellProgress({ jobs, clock }: Pick<Operator, 'jobs' | 'clock'>, key: PreviewKey): Promise<void> {
  await jobs.enqueueReport(key, new Date(clock.now().getTime() + PROGRESS_TOLD_AFTER_MS));
}
