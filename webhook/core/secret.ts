/**
 * A value that must not be seen: it prints as `[redacted]` wherever text is made of it (console.log, template strings, JSON, pino),
 * and has to be asked for by name where it is used.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Call it at the last moment, where it goes to the one who needs it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  // The symbol by which console.log and util.inspect ask (nodejs.org/api/util.html, "Custom inspection functions").
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[redacted]';
  }
}
