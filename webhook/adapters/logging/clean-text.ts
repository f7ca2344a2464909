/** Makes text of others fit for a log line: bounded, one line, no control characters, no secrets. */

/** What is kept of a text from outside. An error's stack is ours, and longer. */
const TEXT_LENGTH_MAX = 256;

export const REDACTED = '[redacted]';

/**
 * What a terminal or a log viewer could take for a command: control characters (Unicode Cc), characters that are invisible or change the direction of
 * writing (Cf), line and paragraph separators.
 */
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** GitHub's tokens by their prefixes (they say so that scanners can find them), private keys, and passwords in URLs. */
const SECRET_SHAPES: readonly RegExp[] = [
  /\bgh[pousr]_[A-Za-z0-9_]{16,}/g,
  /\bgithub_pat_[A-Za-z0-9_]{16,}/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /(?<=:\/\/[^\s/:@]{0,256}:)[^\s/@]+(?=@)/g,
];

/** The text without what is secret: the given values, and whatever looks like a token. */
export function redactedText(text: string, secrets: readonly string[]): string {
  let redacted = text;
  for (const secret of secrets) redacted = redacted.replaceAll(secret, REDACTED);
  for (const shape of SECRET_SHAPES) redacted = redacted.replace(shape, REDACTED);
  return redacted;
}

/** One line of visible text, at most `lengthMax` characters; what was cut is counted at the end. */
export function cleanText(text: string, lengthMax: number = TEXT_LENGTH_MAX): string {
  const kept = text.length > lengthMax ? `${text.slice(0, lengthMax)}… (${text.length} characters)` : text;
  return kept.toWellFormed().replace(CONTROLS, ' ');
}
