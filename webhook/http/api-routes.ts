/** The operators' API: HTTP with JSON over a unix socket that only we can open. `preview`, the dashboard and the MCP server use it. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { hintAbout, OperatorError } from '../core/errors.ts';
import { parseSlug } from '../core/names.ts';
import { explainPlan, planFor } from '../core/plan.ts';
import type { Desired } from '../core/policy.ts';
import type { PreviewRecord } from '../core/preview.ts';
import { previewView, type BuildLine, type ErrorView, type PlanView, type WatchLine } from '../core/preview-view.ts';
import { parseKeyText, shortSha } from '../core/pull-request.ts';
import { refusalText } from '../core/report.ts';
import type { Operator } from '../ports.ts';
import { lookAtPreview } from '../reconcile/observe.ts';
import { warmClosure } from '../reconcile/warm-closure.ts';
import { examine } from './doctor.ts';
import {
  createPreview,
  destroyPreview,
  detailOf,
  followedBy,
  previewNamed,
  quoted,
  rollbackPreview,
  updatePreview,
} from './operator-actions.ts';
import { logsOf } from './preview-logs.ts';

/** Two looks a blink of an eye apart; each is one primary-key read per watcher. */
const WATCH_POLL_MS = 150;
const LOG_LINES_DEFAULT = 200;
const LOG_LINES_MAX = 10_000;

const slugParameter = z.strictObject({ slug: z.string().max(1_000) });
const createBody = z.strictObject({ repository: z.string().max(1_000), branch: z.string().max(1_000) });
const buildBody = createBody.extend({ branch: createBody.shape.branch.nullable() });
const doctorBody = z.strictObject({ fix: z.boolean().default(false) });
const watchQuery = z.strictObject({ key: z.string().max(1_000) });
const logsQuery = z.strictObject({
  follow: z.enum(['true', 'false']).default('false'),
  lines: z.coerce.number().int().min(0).max(LOG_LINES_MAX).default(LOG_LINES_DEFAULT),
});

/** Registers every route. What is thrown is answered by the server's error handler. */
export function apiRoutes(app: FastifyInstance, op: Operator): void {
  lookingRoutes(app, op);
  askingRoutes(app, op);
  followingRoutes(app, op);
}

/** Routes that read and change nothing. */
function lookingRoutes(app: FastifyInstance, op: Operator): void {
  app.get('/previews', async () => {
    const records = await op.store.list();
    return { previews: records.map((record) => previewView(record, (label) => op.routes.addressOf(label).url)) };
  });

  app.get('/previews/:slug', async (request) => ({ preview: detailOf(op, await named(op, request)) }));

  app.get('/previews/:slug/plan', async (request, reply): Promise<PlanView> => {
    const record = await named(op, request);
    const look = await lookAtPreview(op, record, signalOf(reply));
    const steps = explainPlan(planFor(look.desired, record, look.world, op.clock.now()));
    return { wanted: look.problem === null ? wantedText(look.desired) : `unknown: ${look.problem.message}`, steps };
  });
}

/** Routes by which something is asked for. */
function askingRoutes(app: FastifyInstance, op: Operator): void {
  app.post('/previews', async (request, reply) => {
    const body = parsed(createBody, request.body, 'the body');
    const asked = await createPreview(op, body, signalOf(reply));
    op.log.info(
      { repository: body.repository, branch: body.branch, key: asked.preview.key },
      'an operator asked for a preview',
    );
    return reply.code(202).send(asked);
  });

  app.post('/previews/:slug/update', async (request, reply) => {
    const asked = await updatePreview(op, slugOf(request), signalOf(reply));
    op.log.info({ slug: asked.preview.slug, isDone: asked.isDone }, 'an operator asked for an update');
    return reply.code(asked.isDone ? 200 : 202).send(asked);
  });

  app.post('/previews/:slug/rollback', async (request, reply) => {
    const asked = await rollbackPreview(op, slugOf(request));
    op.log.info({ slug: asked.preview.slug, commit: asked.wantedCommit }, 'an operator asked for a rollback');
    return reply.code(202).send(asked);
  });

  app.delete('/previews/:slug', async (request, reply) => {
    const asked = await destroyPreview(op, slugOf(request));
    op.log.info({ slug: asked.preview.slug }, 'an operator destroyed a preview');
    return reply.code(202).send(asked);
  });

  app.post('/builds', async (request, reply) => {
    const asked = parsed(buildBody, request.body, 'the body');
    const signal = signalOf(reply);
    const followed = await followedBy(op, asked, signal);
    op.log.info(asked, 'an operator asked for a build');
    return sendLines(reply, buildLines(op, followed, signal));
  });

  app.post('/doctor', async (request, reply) => {
    const { fix } = parsed(doctorBody, request.body, 'the body');
    return examine(op, fix, signalOf(reply));
  });
}

/** Routes that answer with lines for as long as there are some. */
function followingRoutes(app: FastifyInstance, op: Operator): void {
  app.get('/previews/:slug/logs', async (request, reply) => {
    const query = parsed(logsQuery, request.query, 'the query');
    const record = await named(op, request);
    const asked = { follow: query.follow === 'true', lines: query.lines, signal: signalOf(reply) };
    return sendLines(reply, logsOf(op, record, asked));
  });

  app.get('/watch', async (request, reply) => {
    const { key: text } = parsed(watchQuery, request.query, 'the query');
    const key = parseKeyText(text);
    if (key === null) throw new OperatorError('BAD_REQUEST', `${quoted(text)} is not the key of a preview.`);
    return sendLines(
      reply,
      watchLines(op, () => op.store.load(key), signalOf(reply)),
    );
  });
}

function slugOf(request: FastifyRequest): string {
  return parsed(slugParameter, request.params, 'the path').slug;
}

/** The preview that the path names. Throws BAD_REQUEST, PREVIEW_NOT_FOUND. */
export function named(op: Pick<Operator, 'store'>, request: FastifyRequest): Promise<PreviewRecord> {
  return previewNamed(op, slugOf(request));
}

/** What came in, by its schema. Throws BAD_REQUEST naming each field. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.') || where}: ${issue.message}`);
  throw new OperatorError('BAD_REQUEST', problems.join('; ').slice(0, 500));
}

/** Fires when whoever asked has gone. */
export function signalOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort());
  return controller.signal;
}

/** The preview now, and again whenever something about it changes, until it is gone or nobody listens any more. */
async function* watchLines(
  op: Pick<Operator, 'clock' | 'routes'>,
  load: () => Promise<PreviewRecord | null>,
  signal: AbortSignal,
): AsyncGenerator<WatchLine> {
  let told = '';
  while (!signal.aborted) {
    const record = await load();
    if (record === null) {
      yield { gone: true };
      return;
    }
    const preview = detailOf(op, record);
    const text = JSON.stringify(preview);
    if (text !== told) yield { preview };
    told = text;
    await op.clock.sleep(WATCH_POLL_MS, signal).catch(() => undefined);
  }
}

/**
 * Answers with one JSON document per line (NDJSON). The last line is `{"end":true}`, or the error that ended it: without either the connection
 * broke.
 */
export function sendLines(reply: FastifyReply, lines: Iterable<object> | AsyncIterable<object>): FastifyReply {
  return reply.type('application/x-ndjson').send(Readable.from(textOf(lines, reply.request)));
}

async function* textOf(
  lines: Iterable<object> | AsyncIterable<object>,
  request: FastifyRequest,
): AsyncGenerator<string> {
  try {
    for await (const line of lines) yield `${JSON.stringify(line)}\n`;
    yield '{"end":true}\n';
  } catch (error) {
    const known =
      error instanceof OperatorError
        ? error
        : new OperatorError('INTERNAL', 'The output could not be read to its end.');
    yield `${JSON.stringify(errorView(known, request))}\n`;
  }
}

/** An error as it is answered, its hint about the preview that the path names, if it names one. */
export function errorView({ code, message, hint }: OperatorError, request?: FastifyRequest): ErrorView {
  const { slug = '' } = (request?.params ?? {}) as { slug?: string };
  return { error: { code, message, hint: hintAbout(parseSlug(slug), hint) } };
}

async function* buildLines(
  op: Operator,
  followed: Parameters<typeof warmClosure>[1],
  signal: AbortSignal,
): AsyncGenerator<BuildLine> {
  const startedAt = op.clock.now().getTime();
  const { revision, ...system } = await warmClosure(op, followed, signal);
  yield { branch: revision.ref, commit: revision.sha, ...system, ms: op.clock.now().getTime() - startedAt };
}

function wantedText(desired: Desired): string {
  switch (desired.kind) {
    case 'present':
      return `${desired.repository} at ${shortSha(desired.revision.sha)} (${desired.revision.ref})${desired.rolledBackFrom === undefined ? '' : ', rolled back to'}`;
    case 'refused':
      return `nothing: ${refusalText(desired.reason)}`;
    case 'absent':
      return `nothing: ${desired.reason}`;
    case 'unknown':
      return 'what there is, unchanged: GitHub does not say';
  }
}
