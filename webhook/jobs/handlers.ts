import type { JobHandlers, Operator } from '../ports.ts';
import { reconcilePreviewTask } from './reconcile-preview-task.ts';
import { reportTask } from './report-task.ts';
import { sweepTask } from './sweep-task.ts';

/** What the queue runs, by kind of job. */
export function jobHandlers(op: Operator, options: { sweepIntervalMs: number }): JobHandlers {
  return {
    reconcile: (key, signal) => reconcilePreviewTask(op, key, signal),
    report: (key, signal) => reportTask(op, key, signal),
    sweep: sweepTask(op, options.sweepIntervalMs),
  };
}
