/** Keeps secrets out of what a command printed. */

/** A secret shorter than this would redact ordinary words; ours have 20 characters and more. */
const SECRET_LENGTH_MIN = 6;

/** The text with every secret replaced by `[redacted]`, the longest first so that one inside another leaves nothing behind. */
export function redacted(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret.length >= SECRET_LENGTH_MIN)
    .sort((a, b) => b.length - a.length)
    .reduce((result, secret) => result.replaceAll(secret, '[redacted]'), text);
}
