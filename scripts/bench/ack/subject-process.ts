/** One of the servers that are measured, in a process of its own: `subject-process.ts <subject> [<PostgreSQL URL>]`. Sends its port to its parent. */
import { createNodeMiddleware, Webhooks } from '@octokit/webhooks';
import { fastify } from 'fastify';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createWebhookSource } from '../../../webhook/adapters/github/webhook-source.ts';
import { createLog } from '../../../webhook/adapters/logging/pino-log.ts';
import { openState } from '../../../webhook/adapters/postgres/state.ts';
import { parsePool } from '../../../webhook/core/slots.ts';
import { createMetrics } from '../../../webhook/http/metrics.ts';
import { buildWebhookServer } from '../../../webhook/http/server.ts';
import type { Intake } from '../../../webhook/ports.ts';
import { BENCH_REPOSITORY, BENCH_SECRET } from './load.ts';

const [subject, databaseUrl = ''] = process.argv.slice(2);
const host = '127.0.0.1';

/** The service's own listener, logging as in production, over an intake. */
async function listener(intake: Intake): Promise<number> {
  const log = createLog({ level: 'info', secrets: [BENCH_SECRET] });
  const policy = { repositories: [BENCH_REPOSITORY], drafts: true };
  const app = await buildWebhookServer({
    source: createWebhookSource({ secrets: [BENCH_SECRET], policy }),
    intake,
    isReady: () => Promise.resolve(true),
    metrics: createMetrics({ store: { list: () => Promise.resolve([]) }, log }),
    log,
  });
  await app.listen({ host, port: 0 });
  return (app.server.address() as AddressInfo).port;
}

async function durable(): Promise<number> {
  const pool = parsePool('10.100.0.0/16');
  if (pool === null) throw new Error('not a pool');
  const log = createLog({ level: 'warn', secrets: [] });
  const state = await openState({ url: databaseUrl, pool, log });
  return listener(state.intake);
}

/** A bare Fastify: verifies the HMAC over the raw bytes, parses the JSON, answers 202, keeps nothing. */
async function uncommitted(): Promise<number> {
  const app = fastify({ logger: false, bodyLimit: 25 * 1024 * 1024 });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post('/webhook/github', async (request, reply) => {
    const body = request.body as Buffer;
    const expected = Buffer.from(`sha256=${createHmac('sha256', BENCH_SECRET).update(body).digest('hex')}`);
    const given = Buffer.from(String(request.headers['x-hub-signature-256']));
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return reply.code(401).send({});
    const payload = JSON.parse(body.toString()) as { number: number };
    return reply.code(202).send({ status: 'accepted', number: payload.number });
  });
  await app.listen({ host, port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/** @octokit/webhooks alone, which keeps nothing either. */
async function octokit(): Promise<number> {
  const webhooks = new Webhooks({ secret: BENCH_SECRET });
  webhooks.on('pull_request', () => {});
  const middleware = createNodeMiddleware(webhooks, { path: '/webhook/github' });
  const server = createServer((request, response) => void middleware(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

const SUBJECTS: Readonly<Record<string, () => Promise<number>>> = {
  durable,
  'durable without its commit': () =>
    listener({ accept: () => Promise.resolve('accepted'), doubtComment: () => Promise.resolve(false) }),
  uncommitted,
  'octokit-webhooks': octokit,
};

const start = SUBJECTS[subject ?? ''];
if (start === undefined) throw new Error(`no subject ${subject}`);
process.send?.({ port: await start() });
// The parent ends us; when it is gone we have no reason to be.
process.on('disconnect', () => process.exit(0));
