import pc from 'picocolors';
import type { ExitStatus } from './failure.ts';

/** What a verb reports at its end; `data` is what `--json` prints. */
export interface Report {
  readonly status: ExitStatus;
  readonly summary: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * The terminal. Progress and child output go to stderr; stdout carries the result alone: lines for people, or with
 * `--json` exactly one JSON document, in every outcome.
 */
export class Output {
  readonly #json: boolean;

  constructor(json: boolean) {
    this.#json = json;
  }

  info(text: string): void {
    process.stderr.write(`${pc.blue('[INFO]')} ${text}\n`);
  }

  warn(text: string): void {
    process.stderr.write(`${pc.yellow('[WARN]')} ${text}\n`);
  }

  command(argv: readonly string[]): void {
    process.stderr.write(`${pc.dim('[RUN]')} ${argv.map(quoted).join(' ')}\n`);
  }

  /** A line of the result, for people only: with `--json` the same facts are in the report's data. */
  line(text: string): void {
    if (!this.#json) process.stdout.write(`${text}\n`);
  }

  report(verb: string, report: Report): void {
    if (this.#json) {
      process.stdout.write(
        `${JSON.stringify({ verb, status: report.status, summary: report.summary, ...report.data })}\n`,
      );
    } else {
      process.stdout.write(`${report.status === 0 ? pc.green('[OK]') : pc.yellow('[WARN]')} ${report.summary}\n`);
    }
  }

  failure(verb: string, error: { status: number; message: string; hint: string }): void {
    if (this.#json) {
      const { status, message, hint } = error;
      process.stdout.write(`${JSON.stringify({ verb, status, error: message, hint })}\n`);
    }
    process.stderr.write(`${pc.red('[ERROR]')} ${error.message}\n${error.hint ? `        ${error.hint}\n` : ''}`);
  }
}

/** Shows an argument as one would type it; for reading only, it is never executed. */
function quoted(argument: string): string {
  return /^[A-Za-z0-9_@%+=:,./#-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
