/** Lines of journalctl's JSON, as the guest printed them: nothing in them is trusted. */
import { z } from 'zod';
import { LOG_LINE_MAX_BYTES } from '../../../core/limits.ts';
import type { LogLine } from '../../../ports.ts';

const entrySchema = z.object({
  __REALTIME_TIMESTAMP: z.string().regex(/^\d{1,17}$/),
  // A message that is not valid UTF-8 comes as an array of bytes (systemd.journal-fields, "Journal JSON Format").
  MESSAGE: z.union([z.string(), z.array(z.int().min(0).max(255))]).nullish(),
  _SYSTEMD_UNIT: z.string().optional(),
});

/** Null for what is not output of the app: systemd's own words about a unit, and anything that cannot be read. */
export function logLineFrom(text: string): LogLine | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const entry = entrySchema.safeParse(value);
  if (!entry.success) return null;
  const { MESSAGE: message, _SYSTEMD_UNIT: unit, __REALTIME_TIMESTAMP: microseconds } = entry.data;
  const source = sourceOf(unit);
  if (source === null || message === null || message === undefined) return null;
  const line = typeof message === 'string' ? message : Buffer.from(message).toString('utf8');
  return { at: new Date(Number(microseconds) / 1_000), source, text: printable(line) };
}

function sourceOf(unit: string | undefined): string | null {
  if (unit === 'setup-preview.service') return 'setup';
  // hostd asks for the app's units only; what systemd itself says of them comes from another kind of unit.
  return /^(?:app-)?([a-z][a-z0-9-]{0,62})\.service$/.exec(unit ?? '')?.[1] ?? null;
}

// oxlint-disable-next-line no-control-regex -- removing them is the point
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
// oxlint-disable-next-line no-control-regex -- colours and cursor movements of build tools
const escapes = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\))/g;

function printable(text: string): string {
  return text.slice(0, LOG_LINE_MAX_BYTES).replace(escapes, '').replace(controls, '\u{fffd}');
}
