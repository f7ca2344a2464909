/**
 * Commands that run inside a preview. What one prints is a stream of lines; what is typed comes in requests of its own, so that either direction may
 * be silent or slow without holding up the other. A session is known to whoever started it, and ends with the stream.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { OperatorError } from '../core/errors.ts';
import { commandInputSchema, commandInside, type CommandInside } from '../core/host-verbs.ts';
import { answeringInstance, type PreviewRecord } from '../core/preview.ts';
import type { CommandLineView } from '../core/preview-view.ts';
import type { InstanceSpec, Operator } from '../ports.ts';
import { specOf } from '../reconcile/bring-up.ts';
import { named, parsed, sendLines, signalOf } from './api-routes.ts';

const sessionParameter = z.strictObject({ session: z.uuid() });

/** Chunks of output that wait for a slow reader before the command has to. */
const WAITING_CHUNKS_MAX = 16;

/** The two requests of a command: one that runs it and answers with its output, and one for each piece of its input. */
export function commandRoutes(app: FastifyInstance, op: Operator): void {
  const inputs = new Map<string, PassThrough>();

  app.post('/previews/:slug/commands', async (request, reply) => {
    const command = parsed(commandInside, request.body, 'the body');
    const signal = signalOf(reply);
    const record = await named(op, request);
    const spec = await specOfAnswering(op, record);
    signal.throwIfAborted();
    const program = 'argv' in command ? command.argv[0] : 'a shell';
    op.log.info({ slug: record.slug, asRoot: command.asRoot, program }, 'an operator runs a command');
    const session = randomUUID();
    const input = new PassThrough();
    inputs.set(session, input);
    signal.addEventListener('abort', () => {
      inputs.delete(session);
      input.destroy();
    });
    return sendLines(reply, lines(op, { spec, command, session, input, signal }));
  });

  app.post('/commands/:session', async (request) => {
    const { session } = parsed(sessionParameter, request.params, 'the path');
    const { input } = parsed(commandInputSchema, request.body, 'the body');
    const into = inputs.get(session);
    // A command that has ended reads no more: like a closed pipe, that is no error of whoever types.
    if (into === undefined || into.writableEnded) return {};
    if (input === null) into.end();
    else if (!into.write(Buffer.from(input, 'base64'))) await Promise.race([once(into, 'drain'), once(into, 'close')]);
    return {};
  });
}

async function specOfAnswering(op: Operator, record: PreviewRecord): Promise<InstanceSpec> {
  const instance = answeringInstance(record) ?? record.instances.at(-1) ?? null;
  if (instance?.manifest == null)
    throw new OperatorError('PREVIEW_NOT_RUNNING', `Preview '${record.slug ?? ''}' has no running instance.`);
  return specOf(op, { record, instance });
}

interface Session {
  readonly spec: InstanceSpec;
  readonly command: CommandInside;
  readonly session: string;
  readonly input: PassThrough;
  readonly signal: AbortSignal;
}

async function* lines(
  op: Pick<Operator, 'runtime'>,
  { spec, command, session, input, signal }: Session,
): AsyncGenerator<CommandLineView> {
  yield { session };
  const printed = new PassThrough({ objectMode: true, highWaterMark: WAITING_CHUNKS_MAX });
  const output = async (stream: 'stdout' | 'stderr', chunk: Buffer) => {
    if (!printed.write({ stream, data: chunk.toString('base64') })) await once(printed, 'drain', { signal });
  };
  op.runtime.run(spec, command, { input, output, signal }).then(
    (status) => printed.end({ status }),
    (error: unknown) => printed.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  yield* printed as AsyncIterable<CommandLineView>;
}
