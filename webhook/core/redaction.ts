/**
 * Takes secrets out of what programs printed: a command of ours, and an app whose last lines go into a public comment. It is a net for accidents. Whoever
 * writes the app's code can print what it was given in a form that nobody would look for.
 */
import { OperatorError } from './errors.ts';
import { LOG_LINE_MAX_BYTES } from './limits.ts';

const REDACTED = '[redacted]';

/** What is shorter would take ordinary words out of every line, and an app that is given `1` or `eu` as a secret keeps nothing safe with it. */
const LENGTH_MIN = 6;

/** A line of that many bytes may have been cut, in the middle of a secret: both runtimes cut there, and a mark of it or half a character may be missing. */
const CUT_FROM_BYTES = LOG_LINE_MAX_BYTES - 16;

/** The text with every secret that has six characters or more as `[redacted]`: as it is, each of its lines, and as a URL, JSON or base64 would have it. */
export function redacted(text: string, secrets: readonly string[]): string {
  const forms = [...new Set(secrets.flatMap(formsOf))].filter((form) => form.length >= LENGTH_MIN);
  const found = forms.flatMap((form) => [...placesOf(text, form), ...cutPlacesOf(text, form)]);
  let shown = '';
  let end = 0;
  // Where two overlap, what is between the first's beginning and the last's end goes.
  for (const place of found.sort((a, b) => a.start - b.start)) {
    if (place.start > end || shown === '') shown += `${text.slice(end, place.start)}${REDACTED}`;
    end = Math.max(end, place.end);
  }
  return shown + text.slice(end);
}

/** The error as people may see it. Its cause stays as it is. */
export function withoutSecrets(error: OperatorError, secrets: readonly string[]): OperatorError {
  const message = redacted(error.message, secrets);
  const detail = error.detail === undefined ? undefined : redacted(error.detail, secrets);
  if (message === error.message && detail === error.detail) return error;
  const { code, hint, retry, retryAfterMs, cause } = error;
  const more = {
    ...(detail === undefined ? {} : { detail }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    cause,
  };
  return new OperatorError(code, message, { hint, retry, ...more });
}

/** In lines that are safe to show, control characters are gone: what is between them is all that can be found again. */
function formsOf(secret: string): string[] {
  const pieces = secret.toWellFormed().split(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/u);
  return [...pieces.flatMap(spellingsOf), ...base64Of(secret)];
}

function spellingsOf(piece: string): string[] {
  const trimmed = piece.trim();
  const percent = encodeURIComponent(trimmed);
  return [trimmed, JSON.stringify(trimmed).slice(1, -1), encodeURI(trimmed), percent, percent.replaceAll('%20', '+')];
}

/** Wherever in what was encoded it stands (`user:password`, say): from each of three bytes on, as far as groups of three are its own. */
function base64Of(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [0, 1, 2].flatMap((skipped) => {
    const length = bytes.length - skipped - ((bytes.length - skipped) % 3);
    const own = bytes.subarray(skipped, skipped + Math.max(0, length));
    return [own.toString('base64'), own.toString('base64url')];
  });
}

interface Place {
  readonly start: number;
  readonly end: number;
}

function* placesOf(text: string, form: string): Iterable<Place> {
  for (let start = text.indexOf(form); start >= 0; start = text.indexOf(form, start + 1))
    yield { start, end: start + form.length };
}

function* cutPlacesOf(text: string, form: string): Iterable<Place> {
  let next = 0;
  for (const line of text.split('\n')) {
    const start = next;
    next += line.length + 1;
    if (Buffer.byteLength(line) < CUT_FROM_BYTES) continue;
    const kept = line.replace(/…$/, '');
    for (let length = Math.min(form.length - 1, kept.length); length >= LENGTH_MIN; length -= 1) {
      if (!kept.endsWith(form.slice(0, length))) continue;
      yield { start: start + kept.length - length, end: start + kept.length };
      break;
    }
  }
}
