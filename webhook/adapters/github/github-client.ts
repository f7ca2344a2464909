/**
 * Our one way to GitHub's API. Octokit does the protocol (authentication, refresh of an App's tokens, pacing of writes, one more try of a read that
 * failed); what is ours: a limit on every request, answers read through a schema, errors in our own words, and never a long wait inside a
 * job. When GitHub says "later", the job comes back later.
 */
import { createAppAuth } from '@octokit/auth-app';
import { retry } from '@octokit/plugin-retry';
import { throttling } from '@octokit/plugin-throttling';
import { Octokit } from '@octokit/rest';
import { z } from 'zod';
import { OperatorError } from '../../core/errors.ts';
import type { Log } from '../../ports.ts';
import { githubErrorFrom } from './github-errors.ts';

export type GitHubIdentity =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'app'; readonly appId: number; readonly installationId: number; readonly privateKey: string };

export interface GitHubSettings {
  /** `https://api.github.com`, or that of a GitHub Enterprise Server; without a slash at the end. */
  readonly apiUrl: string;
  readonly identity: GitHubIdentity;
  readonly log: Pick<Log, 'debug' | 'warn'>;
  /** Of one request. 10 s by default: GitHub itself gives up on a request after that. */
  readonly requestTimeoutMs?: number;
  /**
   * Whether writes are spaced (a second apart, three when somebody is notified), as GitHub asks of integrators. Default true; a stand-in GitHub does
   * not need it.
   */
  readonly paceWrites?: boolean;
}

const REQUEST_TIMEOUT_MS = 10_000;

/** Tries of a read after its first, a second later. Writes are never repeated here: the first may have had its effect. */
const READ_RETRIES = 1;
const NOT_WORTH_A_RETRY = [400, 401, 403, 404, 409, 410, 422, 429, 451];

const PacedOctokit = Octokit.plugin(throttling, retry);

/** What a call passes on to Octokit. */
export interface CallOptions {
  readonly request: { readonly signal: AbortSignal; readonly retries?: number };
}

export interface GitHubCall<Answer> {
  /** Completes "while …" in an error: `reading acme/shop#42`. */
  readonly doing: string;
  readonly answer: z.ZodType<Answer>;
  /** A read may be tried again at once; a write may not. */
  readonly kind: 'read' | 'write';
  readonly signal: AbortSignal;
  readonly send: (octokit: Octokit, options: CallOptions) => Promise<{ readonly data: unknown }>;
}

export interface GitHubClient {
  /** What we are to GitHub. */
  readonly identity: GitHubIdentity['kind'];
  /** One call. Throws GITHUB_* or SUBJECT_NOT_FOUND (then the cause is Octokit's error), or the signal's reason when it fires. */
  call<Answer>(call: GitHubCall<Answer>): Promise<Answer>;
  /** The login that our comments carry: the token's user, or the App's bot. */
  login(signal: AbortSignal): Promise<string>;
  /** A token for git over HTTPS, good for some minutes at least. */
  token(signal: AbortSignal): Promise<string>;
}

export function connectToGitHub(settings: GitHubSettings): GitHubClient {
  const octokit = octokitFor(settings);
  let login: string | null = null;

  const call = async <Answer>(request: GitHubCall<Answer>): Promise<Answer> => {
    const { signal, doing } = request;
    const options: CallOptions = { request: { signal, ...(request.kind === 'write' ? { retries: 0 } : {}) } };
    const { data } = await answerOf(() => request.send(octokit, options), doing, signal);
    const parsed = request.answer.safeParse(data);
    if (parsed.success) return parsed.data;
    const field = parsed.error.issues[0]?.path.join('.') ?? '';
    throw new OperatorError(
      'GITHUB_UNREACHABLE',
      `GitHub answered with something that we cannot read while ${doing}.`,
      {
        detail: `the answer does not have what we need at "${field}"`,
      },
    );
  };

  return {
    identity: settings.identity.kind,
    call,
    async login(signal) {
      login ??= await readLogin(settings.identity, call, signal);
      return login;
    },
    async token(signal) {
      if (settings.identity.kind === 'token') return settings.identity.token;
      const doing = 'getting an installation token';
      const answer = await answerOf(() => octokit.auth({ type: 'installation' }), doing, signal);
      return z.object({ token: z.string().min(1) }).parse(answer).token;
    },
  };
}

function octokitFor(settings: GitHubSettings): Octokit {
  const { identity, log, requestTimeoutMs = REQUEST_TIMEOUT_MS, paceWrites = true } = settings;
  const auth =
    identity.kind === 'token'
      ? { auth: identity.token }
      : {
          authStrategy: createAppAuth,
          auth: { appId: identity.appId, installationId: identity.installationId, privateKey: identity.privateKey },
        };
  return new PacedOctokit({
    ...auth,
    baseUrl: settings.apiUrl,
    userAgent: 'berth',
    request: { fetch: fetchWithin(requestTimeoutMs) },
    retry: { retries: READ_RETRIES, doNotRetry: NOT_WORTH_A_RETRY },
    throttle: {
      enabled: paceWrites,
      // "Later" is for the queue to wait, not for a worker.
      onRateLimit: () => false,
      onSecondaryRateLimit: () => false,
    },
    log: {
      debug: () => {},
      info: () => {},
      warn: (message: string) => log.warn({ message }, 'Octokit'),
      error: (message: string) => log.debug({ message }, 'Octokit'),
    },
  });
}

/** The time runs from when the request is really sent: before that it may have waited its turn. */
function fetchWithin(timeoutMs: number): typeof fetch {
  return (input, init) => {
    const limits = [AbortSignal.timeout(timeoutMs), ...(init?.signal == null ? [] : [init.signal])];
    return fetch(input, { ...init, signal: AbortSignal.any(limits) });
  };
}

/** The answer, or our own error. Rejects the moment the signal fires, also while the request is still waiting for its turn. */
async function answerOf<T>(send: () => Promise<T>, doing: string, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([send(), aborted]);
  } catch (error) {
    signal.throwIfAborted();
    throw githubErrorFrom(error, doing);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function readLogin(identity: GitHubIdentity, call: GitHubClient['call'], signal: AbortSignal): Promise<string> {
  const doing = 'asking who we are';
  if (identity.kind === 'token') {
    const answer = z.object({ login: z.string() });
    const send = (octokit: Octokit, options: CallOptions) => octokit.request('GET /user', { ...options });
    return (await call({ doing, kind: 'read', signal, answer, send })).login;
  }
  const answer = z.object({ slug: z.string() });
  const send = (octokit: Octokit, options: CallOptions) => octokit.request('GET /app', { ...options });
  return `${(await call({ doing, kind: 'read', signal, answer, send })).slug}[bot]`;
}
