import { OperatorError, type ErrorCode } from '../../core/errors.ts';

/**
 * GitHub's secondary limits come without a time now and then: "wait for at least one minute".
 * https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
const SECONDARY_LIMIT_PAUSE_MS = 60_000;

/** The primary limit is reset every hour; a longer wait than that is a clock that is wrong. */
const PAUSE_MAX_MS = 3_600_000;

/** Octokit's error for an answer of 400 and above. It throws the same class, without `response`, when there was no answer at all. */
interface RefusedRequest extends Error {
  readonly status: number;
  readonly response: { readonly headers: Readonly<Record<string, string | number | undefined>> };
}

function isRefusedRequest(thrown: unknown): thrown is RefusedRequest {
  return (
    thrown instanceof Error &&
    'status' in thrown &&
    typeof thrown.status === 'number' &&
    'response' in thrown &&
    typeof thrown.response === 'object' &&
    thrown.response !== null &&
    'headers' in thrown.response
  );
}

/** The status of GitHub's refusal, or null when there was no whole answer (no connection, a timeout, garbage). */
export function refusalStatusOf(thrown: unknown): number | null {
  return isRefusedRequest(thrown) ? thrown.status : null;
}

/**
 * What GitHub's refusal or silence means for us. `doing` completes "GitHub … while …": `reading acme/shop#42`. The original is the cause; its text, which GitHub
 * wrote, is in `detail`.
 */
export function githubErrorFrom(thrown: unknown, doing: string): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  const error = (code: ErrorCode, message: string, retryAfterMs?: number): OperatorError =>
    new OperatorError(code, message, {
      cause: thrown,
      detail,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(retryAfterMs, PAUSE_MAX_MS) }),
    });

  if (!isRefusedRequest(thrown)) {
    return error('GITHUB_UNREACHABLE', `GitHub did not answer while ${doing}.`);
  }
  const pauseMs = rateLimitPauseMsOf(thrown, Date.now());
  if (pauseMs !== null) return error('GITHUB_RATE_LIMITED', `GitHub’s rate limit was reached while ${doing}.`, pauseMs);
  switch (thrown.status) {
    case 401:
      return error('GITHUB_FORBIDDEN', `GitHub does not know our token, or no longer (401), while ${doing}.`);
    case 403:
    case 422:
    case 451:
      return error('GITHUB_FORBIDDEN', `GitHub refused (${thrown.status}) ${doing}.`);
    case 404:
    case 410:
      return error('SUBJECT_NOT_FOUND', `GitHub says ${thrown.status} while ${doing}.`);
    default: {
      const pause = secondsOf(thrown.response.headers['retry-after']);
      return error('GITHUB_UNREACHABLE', `GitHub answered ${thrown.status} while ${doing}.`, pause ?? undefined);
    }
  }
}

/** How long GitHub wants to be left alone, or null when this is not about a rate limit. 403 and 429 can both be. */
function rateLimitPauseMsOf(thrown: RefusedRequest, nowMs: number): number | null {
  if (thrown.status !== 403 && thrown.status !== 429) return null;
  const { headers } = thrown.response;
  const retryAfterMs = secondsOf(headers['retry-after']);
  if (retryAfterMs !== null) return retryAfterMs;
  const resetMs = secondsOf(headers['x-ratelimit-reset']);
  if (headers['x-ratelimit-remaining'] === '0' && resetMs !== null) return Math.max(1_000, resetMs - nowMs);
  return thrown.status === 429 || /rate limit|abuse/i.test(thrown.message) ? SECONDARY_LIMIT_PAUSE_MS : null;
}

/** A header of whole seconds, in milliseconds. */
function secondsOf(header: string | number | undefined): number | null {
  const text = String(header ?? '');
  return /^[0-9]{1,10}$/.test(text) ? Number(text) * 1_000 : null;
}

/** The answer, or null when GitHub says 404. */
export async function orNullWhenMissing<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof OperatorError && refusalStatusOf(error.cause) === 404) return null;
    throw error;
  }
}
