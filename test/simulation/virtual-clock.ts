/** Time that passes only when nobody has anything left to do. Timers fire in order of time, then of registration. */
import type { Clock } from '../../webhook/ports.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

const START = Date.UTC(2026, 0, 1);

export class VirtualClock implements Clock {
  #nowMs = START;
  #order = 0;
  /** Binary heap by (at, order). */
  readonly #timers: Timer[] = [];

  now(): Date {
    return new Date(this.#nowMs);
  }

  /** Milliseconds since the simulation began. */
  get elapsedMs(): number {
    return this.#nowMs - START;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = () => reject(signal?.reason as Error);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.at(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  /** Calls `fire` after the time. */
  at(ms: number, fire: () => void): void {
    this.#push({ at: this.#nowMs + Math.max(0, ms), order: (this.#order += 1), fire });
  }

  /** Lets time pass until `untilMs` of elapsed time, or until `isDone` says so. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<void> {
    for (;;) {
      // All promises that can go on without time passing have gone on when this resolves.
      await new Promise(setImmediate);
      const next = this.#timers[0];
      if (isDone() || next === undefined || next.at - START > untilMs) break;
      this.#pop();
      this.#nowMs = next.at;
      next.fire();
    }
    if (!isDone()) this.#nowMs = Math.max(this.#nowMs, START + untilMs);
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let index = heap.push(timer) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isEarlier(timer, heap[parent])) break;
      heap[index] = heap[parent] as Timer;
      index = parent;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#timers;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isEarlier(heap[child + 1] as Timer, heap[child])) child += 1;
      if (!isEarlier(heap[child] as Timer, last)) break;
      heap[index] = heap[child] as Timer;
      index = child;
    }
    heap[index] = last;
  }
}

function isEarlier(a: Timer, b: Timer | undefined): boolean {
  return b === undefined || a.at < b.at || (a.at === b.at && a.order < b.order);
}
