/** What one run of steps came to, and what follows from it: the facts to save and when to look again. The only place that decides it. */
import type { OperatorError } from './errors.ts';
import { RETRY_FIRST_MS, RETRY_MAX_MS } from './limits.ts';
import type { Failure, StepName } from './preview.ts';
import type { Sha } from './pull-request.ts';

/** What a step returns. Anything else it has to say, it throws as an OperatorError. */
export type StepResult =
  | { readonly kind: 'done' }
  /** The app has no use for this step. It took no time that anybody wants to be told of. */
  | { readonly kind: 'not-needed' }
  | { readonly kind: 'waiting'; readonly reason: string; readonly retryAfterMs: number };

export const DONE: StepResult = { kind: 'done' };
export const NOT_NEEDED: StepResult = { kind: 'not-needed' };

export type RunResult =
  | {
      readonly kind: 'settled' /** Steps that were run; zero means that everything was as wanted. */;
      readonly steps: number;
    }
  | { readonly kind: 'waiting'; readonly retryAfterMs: number }
  | { readonly kind: 'failed'; readonly step: StepName; readonly sha: Sha | null; readonly error: OperatorError };

/** Pause before try number `attempts + 1`: doubling from two seconds, at most five minutes. */
export function backoffMs(attempts: number): number {
  return Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(20, Math.max(0, attempts - 1)));
}

/** The failure to store after a failed run, given the one stored before. */
export function failureFrom(run: Extract<RunResult, { kind: 'failed' }>, before: Failure | null, now: Date): Failure {
  const { error, step, sha } = run;
  const isSame = before !== null && before.code === error.code && before.sha === sha;
  const attempts = isSame ? before.attempts + 1 : 1;
  const pauseMs = error.retryAfterMs ?? backoffMs(attempts);
  return {
    code: error.code,
    step,
    message: error.message,
    hint: error.hint,
    detail: error.detail ?? null,
    sha,
    at: now,
    attempts,
    retry: error.retry,
    nextAttemptAt: error.retry === 'later' ? new Date(now.getTime() + pauseMs) : null,
  };
}
