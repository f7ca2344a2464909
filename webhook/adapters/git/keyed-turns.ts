/** Work on one key one at a time, in the order of asking; different keys side by side. */
export class KeyedTurns<Key> {
  readonly #last = new Map<Key, Promise<void>>();

  /** Waits for its turn, does the work and passes its result on. Whoever's signal fires while waiting leaves at once with its reason. */
  async run<Result>(key: Key, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const leaving = new AbortController();
    const turn = before.then(() => {
      leaving.abort();
      signal.throwIfAborted();
      return work();
    });
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, settled);
    void settled.then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    });
    return Promise.race([turn, abortedBefore(signal, leaving.signal)]);
  }
}

/** Rejects when the first signal fires before the second; otherwise never settles. */
function abortedBefore(signal: AbortSignal, over: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: over });
  });
}
