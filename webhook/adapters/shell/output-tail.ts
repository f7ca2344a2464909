/** The end of a stream of bytes, in bounded memory. */
export class OutputTail {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #dropped = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes > this.#maxBytes) {
      const first = this.#chunks[0] ?? Buffer.alloc(0);
      const excess = this.#bytes - this.#maxBytes;
      this.#dropped = true;
      if (first.length <= excess) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(excess);
      this.#bytes -= Math.min(excess, first.length);
    }
  }

  /** What was kept. When something was dropped it begins after a line break, so that no half of a line (or of a secret) is shown. */
  text(): string {
    const text = Buffer.concat(this.#chunks).toString('utf8');
    return this.#dropped ? text.slice(text.indexOf('\n') + 1) : text;
  }
}
