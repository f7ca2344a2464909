import type { FastifyInstance } from 'fastify';
import { sharedInFlight } from './in-hand.ts';

export interface HealthRouteOptions {
  /** Whether deliveries can be committed and worked off. */
  readonly isReady: () => Promise<boolean>;
}

/** Whoever asks for readiness (a proxy, a deployment) has a limit of its own of some seconds; an answer after it is none. */
const READY_TIMEOUT_MS = 2_000;

/** GET /health: the process is alive and answers. GET /ready: it can work; 503 otherwise. */
export async function healthRoute(app: FastifyInstance, options: HealthRouteOptions): Promise<void> {
  app.get('/health', (_request, reply) => reply.send({ status: 'ok', uptime: Math.floor(process.uptime()) }));

  // It costs a statement on the connection that deliveries take.
  const isReady = sharedInFlight(() => isReadyInTime(options));
  app.get('/ready', async (_request, reply) =>
    (await isReady()) ? reply.send({ status: 'ready' }) : reply.code(503).send({ status: 'not_ready' }),
  );
}

async function isReadyInTime(options: HealthRouteOptions): Promise<boolean> {
  const { promise: tooLate, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), READY_TIMEOUT_MS);
  try {
    return await Promise.race([options.isReady().catch(() => false), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
