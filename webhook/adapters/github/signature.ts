import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';

const SIGNATURE = /^sha256=[0-9a-f]{64}$/;

/** What a header that is no signature is compared as, so that every bad signature takes the same path. Not the HMAC of anything we know. */
const NO_SIGNATURE = Buffer.alloc(32);

/**
 * Whether `header` (X-Hub-Signature-256) is the HMAC-SHA256 of the raw bytes under one of the secrets. During a rotation there are two. All
 * are computed and compared, in constant time, whatever the header looks like: how long it takes tells nothing about what was wrong.
 * https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 */
export function hasValidSignature(secrets: readonly KeyObject[], rawBody: Buffer, header: unknown): boolean {
  const wellFormed = typeof header === 'string' && SIGNATURE.test(header);
  const given = wellFormed ? Buffer.from(header.slice('sha256='.length), 'hex') : NO_SIGNATURE;
  let matches = 0;
  for (const secret of secrets) {
    const expected = createHmac('sha256', secret).update(rawBody).digest();
    if (timingSafeEqual(expected, given)) matches += 1;
  }
  return wellFormed && matches > 0;
}
