/** The memory limit of an instance, kept by looking: without control groups the kernel bounds single processes only. */
import { MEMORY_LOOK_EVERY_MS } from '../../../core/limits.ts';
import { memoryOf, type ProcessIdentity } from './process-table.ts';

const MIB = 1024 * 1024;

/** Calls `onExceeded` with the first process of the largest tree, and what to say, whenever all of them together have more than allowed. */
export function watchMemory(
  processes: () => readonly ProcessIdentity[],
  maxBytes: number,
  onExceeded: (largest: ProcessIdentity, text: string) => void,
): NodeJS.Timeout {
  return setInterval(() => {
    const trees = processes().map((first) => ({ first, bytes: memoryOf(first) ?? 0 }));
    const total = trees.reduce((sum, tree) => sum + tree.bytes, 0);
    const largest = trees.toSorted((a, b) => b.bytes - a.bytes)[0];
    if (largest === undefined || total <= maxBytes) return;
    const text = `ended: the preview uses ${Math.round(total / MIB)} MiB of memory, and its limit is ${maxBytes / MIB} MiB`;
    onExceeded(largest.first, text);
  }, MEMORY_LOOK_EVERY_MS);
}
