/**
 * What Prometheus reads at GET /metrics. Previews and jobs are counted when it asks, from the state itself: a gauge that is kept up to date by hand
 * is wrong after the first kill.
 */
import { fastify, type FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { phaseOf } from '../core/preview.ts';
import type { Log, PreviewStore, Runtime } from '../ports.ts';
import { sharedInFlight } from './in-hand.ts';

export interface DeliveryCounter {
  /** One answer of the webhook: what it was (`accepted`, `duplicate`, `ignored`, `pong`, or the code of the error), its status, and how long it took. */
  countAnswer(answer: string, status: number, seconds: number): void;
}

export interface Metrics extends DeliveryCounter {
  readonly contentType: string;
  /** The whole text, made once for all who ask while it is being made. State that cannot be read is left out and counted in `berth_scrape_errors_total`. */
  text(): Promise<string>;
}

/** Counts by a label value of our own (`waiting`, `live`). */
type Counts = Readonly<Record<string, number>>;

/** Without `store` and `countJobs`, as in a process that may not read them, there is nothing of previews and jobs. */
export interface MetricsSources {
  readonly store?: Pick<PreviewStore, 'list'>;
  readonly countJobs?: () => Promise<Counts>;
  readonly runtime?: Pick<Runtime, 'diskRoom'>;
  readonly log: Pick<Log, 'warn'>;
}

/** Our own part of an acknowledgement is about a millisecond; GitHub gives up after ten seconds. */
const ANSWER_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10];

const MIB = 1024 * 1024;

/** A registry of its own: two in one process count apart. */
export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const answers = new Counter({
    name: 'berth_webhook_answers_total',
    help: 'Answers given to webhook requests.',
    labelNames: ['answer', 'status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'berth_webhook_answer_seconds',
    help: 'Time from a webhook request’s headers to its answer.',
    buckets: ANSWER_SECONDS,
    registers,
  });
  const scrapeErrors = new Counter({
    name: 'berth_scrape_errors_total',
    help: 'Times that state could not be read for /metrics.',
    registers,
  });
  /** Read anew at each scrape. */
  const counted = (gauge: { name: string; help: string; label: string }, read: () => Promise<Counts>): void => {
    const { name, help, label } = gauge;
    const collect = async (): Promise<void> => {
      counts.reset();
      try {
        for (const [value, count] of Object.entries(await read())) counts.set({ [label]: value }, count);
      } catch (error) {
        scrapeErrors.inc();
        sources.log.warn({ error }, 'State could not be read for /metrics.');
      }
    };
    const counts: Gauge = new Gauge({ name, help, labelNames: [label], registers, collect });
  };
  const { store, countJobs, runtime } = sources;
  if (store !== undefined)
    counted({ name: 'berth_previews', help: 'Previews by phase.', label: 'phase' }, () => countPhases(store));
  if (countJobs !== undefined)
    counted({ name: 'berth_jobs', help: 'Jobs in the queue by state.', label: 'state' }, countJobs);
  if (runtime !== undefined) {
    const help = 'The host’s disk under the previews’ own: what is free, and what those that are there may still take.';
    counted({ name: 'berth_disk_bytes', help, label: 'state' }, () => diskBytes(runtime));
  }

  return {
    contentType: registry.contentType,
    text: sharedInFlight(() => registry.metrics()),
    countAnswer(answer, status, took) {
      answers.inc({ answer, status: String(status) });
      seconds.observe(took);
    },
  };
}

async function countPhases(store: Pick<PreviewStore, 'list'>): Promise<Counts> {
  const counts: Record<string, number> = {};
  for (const record of await store.list()) {
    const { name } = phaseOf(record);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

async function diskBytes(runtime: Pick<Runtime, 'diskRoom'>): Promise<Counts> {
  const room = await runtime.diskRoom();
  return room === null ? {} : { free: room.freeMiB * MIB, unfilled: room.unfilledMiB * MIB };
}

/** GET /metrics, for a server that has other routes too. */
export async function metricsRoute(app: FastifyInstance, options: { metrics: Metrics }): Promise<void> {
  app.get('/metrics', async (_request, reply) =>
    reply.type(options.metrics.contentType).send(await options.metrics.text()),
  );
}

/** GET /metrics and nothing else, for a process that the Internet does not reach. Not yet listening. */
export function buildMetricsServer(metrics: Metrics): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true });
  void app.register(metricsRoute, { metrics });
  return app;
}
