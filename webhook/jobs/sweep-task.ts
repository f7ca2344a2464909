import type { Operator } from '../ports.ts';
import { newSweepMemory, sweep } from '../reconcile/sweep.ts';

/** Sweeps, and asks for the next sweep. The queue holds one sweep for all operators, so it does not matter who runs it. */
export function sweepTask(op: Operator, intervalMs: number): (signal: AbortSignal) => Promise<void> {
  const memory = newSweepMemory();
  return async (signal) => {
    try {
      await sweep(op, memory, signal);
    } finally {
      // Also while we are stopping: an operator that goes on has no other reason to sweep.
      await op.jobs.enqueueSweep(new Date(op.clock.now().getTime() + intervalMs));
    }
  };
}
