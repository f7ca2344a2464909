/** What can go wrong with an answer of GitHub, by script. */

export type Fault =
  /** An answer of this status instead of the real one; the effect of the request does not happen. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly message?: string;
    }
  /** 200 with a page for people, as a proxy in between gives. */
  | { readonly kind: 'html' }
  /** The effect happens, the answer ends in the middle of its JSON. */
  | { readonly kind: 'truncated' }
  /** The effect happens, the connection is reset instead of an answer. */
  | { readonly kind: 'reset' }
  /** No answer until the client gives up; no effect. */
  | { readonly kind: 'hang' }
  /** The real answer, this much later. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Reads of pull requests are answered from this many changes ago. */
  | { readonly kind: 'stale'; readonly changes: number }
  /** Lists answer every page with the first one, full, and say that there is a next. */
  | { readonly kind: 'page-loop' };

export interface FaultRule {
  readonly method?: string;
  /** An operation of GitHub's description (`pulls/get`) or a pattern of the path. Everything when absent. */
  readonly on?: string | RegExp;
  /** How often; once by default. `Infinity` until cleared. */
  readonly times?: number;
  readonly fault: Fault;
}

/** Scripted faults, used up in the order in which they were added. */
export class Faults {
  private rules: { rule: FaultRule; left: number }[] = [];

  add(rule: FaultRule): void {
    this.rules.push({ rule, left: rule.times ?? 1 });
  }

  clear(): void {
    this.rules = [];
  }

  /** Faults that were scripted and never met a request: a test that leaves some tests nothing. */
  get unused(): readonly FaultRule[] {
    return this.rules.filter(({ rule, left }) => left === (rule.times ?? 1)).map(({ rule }) => rule);
  }

  /** The fault for a request, used up. */
  take(method: string, operationId: string | null, path: string): Fault | null {
    const found = this.rules.find(({ rule, left }) => left > 0 && isMeant(rule, { method, operationId, path }));
    if (found === undefined) return null;
    found.left -= 1;
    return found.rule.fault;
  }
}

function isMeant(rule: FaultRule, request: { method: string; operationId: string | null; path: string }): boolean {
  if (rule.method !== undefined && rule.method !== request.method) return false;
  if (rule.on === undefined) return true;
  return typeof rule.on === 'string' ? rule.on === request.operationId : rule.on.test(request.path);
}

/** GitHub's primary limit: spent until `resetAt`. */
export function primaryRateLimit(resetAt: Date): Fault {
  return {
    kind: 'status',
    status: 403,
    message: 'API rate limit exceeded for user ID 1.',
    headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.ceil(resetAt.getTime() / 1_000)) },
  };
}

/** GitHub's secondary limit; with or without being told when. */
export function secondaryRateLimit(status: 403 | 429, retryAfterSeconds?: number): Fault {
  return {
    kind: 'status',
    status,
    message: 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
    ...(retryAfterSeconds === undefined ? {} : { headers: { 'retry-after': String(retryAfterSeconds) } }),
  };
}
