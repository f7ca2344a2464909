/** Whether an app answers: connections to every port, one HTTP request to the main one, again and again until it is good or the time is over. */
import http from 'node:http';
import net from 'node:net';
import { OperatorError } from '../../core/errors.ts';
import { HEALTH_REQUEST_TIMEOUT_MS } from '../../core/limits.ts';
import type { Upstream } from '../../core/preview.ts';
import type { Clock, Health, HealthRequest } from '../../ports.ts';
import { addressesListeningOn } from './listening-sockets.ts';

/** Pauses are a sixteenth of the time waited so far, within these bounds: an app is noticed soon after it is up, however long it took. */
const PAUSE_MIN_MS = 5;
const PAUSE_MAX_MS = 250;

/** What one look found wrong; null is a good answer everywhere. */
type Fault =
  | { readonly kind: 'silent'; readonly upstream: Upstream }
  | { readonly kind: 'no-answer'; readonly why: string }
  | { readonly kind: 'status'; readonly status: number };

/** Health over plain HTTP to the instance itself, past every proxy. No redirect is followed: it is an answer. */
export function httpHealth(options: { readonly clock: Clock }): Health {
  return {
    async check(request, isCrashing, signal) {
      const { clock } = options;
      const since = clock.now().getTime();
      const newestWord = askedBeside(isCrashing, clock);
      for (;;) {
        signal.throwIfAborted();
        const [fault, crashing] = await Promise.all([look(request, signal), newestWord()]);
        if (crashing !== null) throw new OperatorError('SERVICE_CRASHED', crashing);
        if (fault === null) return;
        const waitedMs = clock.now().getTime() - since;
        if (waitedMs >= request.timeoutMs) throw await errorFrom(fault, request);
        const pauseMs = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, waitedMs / 16));
        await clock.sleep(Math.min(pauseMs, request.timeoutMs - waitedMs), signal);
      }
    },
  };
}

/**
 * What `ask` said last. It is asked beside the looks and not between them, because it may take longer than an app takes to come up; only its first
 * answer is waited for.
 */
function askedBeside<Answer>(ask: () => Promise<Answer>, clock: Clock): () => Promise<Answer> {
  let nextAt = Infinity;
  const asked = (): Promise<Answer> => {
    nextAt = Infinity;
    const answer = ask();
    const heard = () => {
      newest = answer;
      nextAt = clock.now().getTime() + PAUSE_MAX_MS;
    };
    answer.then(heard, heard);
    return answer;
  };
  let newest = asked();
  return () => {
    if (clock.now().getTime() >= nextAt) void asked();
    return newest;
  };
}

async function look(request: HealthRequest, signal: AbortSignal): Promise<Fault | null> {
  const others = request.upstreams.filter(
    (each) => each.address !== request.main.address || each.port !== request.main.port,
  );
  const silent = await Promise.all(others.map(async (each) => ((await accepts(each)) ? null : each)));
  const upstream = silent.find((each) => each !== null);
  return upstream === undefined ? ask(request, signal) : { kind: 'silent', upstream };
}

function accepts({ address, port }: Upstream): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: address, port, timeout: HEALTH_REQUEST_TIMEOUT_MS });
    const end = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

function ask({ main, path, host, declared }: HealthRequest, signal: AbortSignal): Promise<Fault | null> {
  return new Promise((resolve, reject) => {
    const request = http.get({
      host: main.address,
      port: main.port,
      path,
      agent: false,
      headers: { host, accept: '*/*', 'user-agent': 'berth-health' },
    });
    // Of the whole answer's head, not only of a silence: an app that trickles must not hold us up.
    const timer = setTimeout(() => end({ kind: 'no-answer', why: noAnswerText() }), HEALTH_REQUEST_TIMEOUT_MS);
    const onAbort = () => end(null);
    signal.addEventListener('abort', onAbort, { once: true });
    let isConnected = false;
    request.on('socket', (socket) => socket.once('connect', () => (isConnected = true)));
    request.once('response', (response) => {
      const status = response.statusCode ?? 0;
      end(status < (declared ? 400 : 500) ? null : { kind: 'status', status });
    });
    request.on('error', (error) =>
      end(isConnected ? { kind: 'no-answer', why: error.message } : { kind: 'silent', upstream: main }),
    );
    function end(fault: Fault | null): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      if (signal.aborted) reject(signal.reason as Error);
      else resolve(fault);
      request.destroy();
    }
  });
}

function noAnswerText(): string {
  return `no answer within ${HEALTH_REQUEST_TIMEOUT_MS / 1_000} s`;
}

async function errorFrom(fault: Fault, request: HealthRequest): Promise<OperatorError> {
  const after = `within ${request.timeoutMs / 1_000} s`;
  switch (fault.kind) {
    case 'silent': {
      const { address, port } = fault.upstream;
      const elsewhere = await addressesListeningOn(port);
      const instead =
        elsewhere.length === 0
          ? ''
          : ` It listens on ${elsewhere.map((each) => hostPort(each, port)).join(' and ')}, not on HOST (${address}).`;
      return new OperatorError(
        'NEVER_LISTENED',
        `Nothing accepted connections on port ${port} (PORT) of ${address} (HOST) ${after}.${instead}`,
      );
    }
    case 'no-answer':
      return new OperatorError(
        'UNHEALTHY',
        `GET ${request.path} on port ${request.main.port} got no answer ${after}: ${fault.why}.`,
      );
    case 'status':
      return new OperatorError(
        'UNHEALTHY',
        `GET ${request.path} on port ${request.main.port} answered ${fault.status} until the end of ${request.timeoutMs / 1_000} s.`,
      );
  }
}

function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
