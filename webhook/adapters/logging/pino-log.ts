/**
 * The Log port over pino: one line of JSON per message. Whatever is logged passes through here, so that no caller has to think of it: secrets are
 * taken out by the name of the field and by value, text is cut, and no control character is left.
 */
import { pino, type DestinationStream, type Logger } from 'pino';
import { OperatorError } from '../../core/errors.ts';
import type { Log } from '../../ports.ts';
import { cleanText, REDACTED, redactedText } from './clean-text.ts';

export interface LogSettings {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Values that must appear in no line: webhook secrets, tokens. Empty ones are ignored. */
  readonly secrets: readonly string[];
  /** Where lines go; standard output by default. */
  readonly destination?: DestinationStream;
}

/** Fields whose value is never printed, whatever it is. */
const SECRET_FIELD = /token|secret|password|passwd|authorization|cookie|private_?key|signature|credential|databaseurl/i;

/** Our own text: the stack of an error, a message. Outside text within it was cut where it came in, or is cut here. */
const STACK_LENGTH_MAX = 4_096;
const MESSAGE_LENGTH_MAX = 1_024;

/** Deeper than this, and longer than this, no log line of ours is. */
const DEPTH_MAX = 6;
const ITEMS_MAX = 50;

export function createLog(settings: LogSettings): Log {
  const secrets = settings.secrets.filter((secret) => secret !== '').sort((a, b) => b.length - a.length);
  const options = {
    level: settings.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    // Errors come as fields already (cleanFields). pino's own way with `err` takes those for an error once more, and joins the messages of the causes.
    serializers: { err: (fields: unknown) => fields },
  };
  const logger = pino(options, settings.destination ?? standardOutput());
  return logOver(logger, secrets);
}

/**
 * Standard output, never waited for. The lines of one turn of the event loop leave in one write, and after the answers of that turn: a write is
 * work for another thread, which on a busy machine takes the processor away from us. What is left is written when the process ends by itself.
 */
function standardOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: false });
  let lines = '';
  const write = () => {
    if (lines === '') return;
    output.write(lines);
    lines = '';
  };
  process.prependListener('exit', write);
  return {
    write(line) {
      if (lines === '') setImmediate(write);
      lines += line;
    },
  };
}

function logOver(logger: Logger, secrets: readonly string[]): Log {
  const write = (level: 'debug' | 'info' | 'warn' | 'error', fields: object, message: string): void => {
    if (!logger.isLevelEnabled(level)) return;
    logger[level](cleanFields(fields, secrets), cleanText(redactedText(message, secrets), MESSAGE_LENGTH_MAX));
  };
  return {
    debug: (fields, message) => write('debug', fields, message),
    info: (fields, message) => write('info', fields, message),
    warn: (fields, message) => write('warn', fields, message),
    error: (fields, message) => write('error', fields, message),
    child: (fields) => logOver(logger.child(cleanFields(fields, secrets)), secrets),
  };
}

function cleanFields(fields: object, secrets: readonly string[]): Record<string, unknown> {
  return cleanValue(fields, secrets, 0) as Record<string, unknown>;
}

function cleanValue(value: unknown, secrets: readonly string[], depth: number): unknown {
  if (typeof value === 'string') return cleanText(redactedText(value, secrets));
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (depth >= DEPTH_MAX) return '…';
  if (value instanceof Error) return errorFields(value, secrets, depth);
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((item) => cleanValue(item, secrets, depth + 1));
  const entries = Object.entries(value).slice(0, ITEMS_MAX);
  return Object.fromEntries(
    entries.map(([name, item]) => [
      cleanText(name),
      SECRET_FIELD.test(name) ? REDACTED : cleanValue(item, secrets, depth + 1),
    ]),
  );
}

/** Of an error only what is known to be harmless: libraries hang whole requests on theirs, with headers. */
function errorFields(error: Error, secrets: readonly string[], depth: number): Record<string, unknown> {
  const own = error instanceof OperatorError ? { code: error.code, detail: error.detail, retry: error.retry } : {};
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const status = 'status' in error && typeof error.status === 'number' ? { status: error.status } : {};
  const cause = error.cause === undefined ? {} : { cause: cleanValue(error.cause, secrets, depth + 1) };
  const message = cleanText(redactedText(error.message, secrets), MESSAGE_LENGTH_MAX);
  return {
    type: cleanText(error.name),
    message,
    ...(cleanValue({ ...code, ...own }, secrets, depth + 1) as object),
    ...status,
    stack: stackLines(error.stack ?? '', secrets),
    ...cause,
  };
}

/** The places of the stack, without the message in front of them (which is a field of its own). */
function stackLines(stack: string, secrets: readonly string[]): string {
  const lines = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return cleanText(redactedText(lines.map((line) => line.trim()).join(' < '), secrets), STACK_LENGTH_MAX);
}
