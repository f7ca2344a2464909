/**
 * Reads bodies as bytes. The signature is over the raw bytes, so nothing may touch them before; and since whoever sends them is not known until
 * all have arrived, what unknown senders can make us hold is bounded, each and in all.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Readable } from 'node:stream';

export interface BodyLimits {
  /** Of one body. */
  readonly bodyMaxBytes: number;
  /** Of all bodies that are being received at the same time. */
  readonly bodiesMaxBytes: number;
}

type Done = (error: BodyRefused | null, body?: Buffer) => void;

/** A body that is not taken. `statusCode` is the answer. */
class BodyRefused extends Error {
  override readonly name = 'BodyRefused';
  readonly statusCode: 400 | 413 | 503;

  constructor(statusCode: 400 | 413 | 503, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** Makes `request.body` of this scope's routes a Buffer whatever the content type is, or undefined when there is no body. Throws BodyRefused. */
export function readBodiesAsBytes(app: FastifyInstance, limits: BodyLimits): void {
  const held = { bytes: 0 };
  app.removeAllContentTypeParsers();
  // Whatever it is; by its name what GitHub sends, for which Fastify then need not take the header apart.
  app.addContentTypeParser(['application/json', '*'], (request: FastifyRequest, payload: Readable, done: Done) => {
    if (Number(request.headers['content-length'] ?? 0) > limits.bodyMaxBytes) done(tooLarge());
    else readBytes(payload, { limits, held, done });
  });
}

function tooLarge(): BodyRefused {
  return new BodyRefused(413, 'The body is larger than any that GitHub sends.');
}

interface Reading {
  readonly limits: BodyLimits;
  readonly held: { bytes: number };
  readonly done: Done;
}

function readBytes(stream: Readable, { limits, held, done }: Reading): void {
  const chunks: Buffer[] = [];
  let size = 0;

  const settle = (outcome: Buffer | BodyRefused): void => {
    stream.off('data', onData).off('end', onEnd).off('close', onCut);
    held.bytes -= size;
    if (outcome instanceof BodyRefused) done(outcome);
    else done(null, outcome);
  };
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    held.bytes += chunk.length;
    chunks.push(chunk);
    if (size > limits.bodyMaxBytes) settle(tooLarge());
    else if (held.bytes > limits.bodiesMaxBytes) settle(new BodyRefused(503, 'Too many bodies at once.'));
  };
  const onEnd = (): void =>
    settle(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size));
  const onCut = (): void => settle(new BodyRefused(400, 'The body was cut off.'));

  stream.on('data', onData).on('end', onEnd).on('close', onCut);
  // An aborted request emits an error before it closes; without a listener that would end the process.
  stream.on('error', () => {});
}
