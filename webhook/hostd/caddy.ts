/**
 * Caddy's admin interface: a unix socket that only Caddy's user and root may open, because whoever speaks to it can make Caddy serve anything.
 * The configuration in force is always the host's own file with what it imports; a text from outside is only ever looked at.
 */
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { z } from 'zod';
import { OperatorError } from '../core/errors.ts';
import type { HostResults } from '../core/host-verbs.ts';
import type { HostSettings } from './settings.ts';

/** A load answers when the configuration before it has ended its last requests, which the host grants 30 s (grace_period); then Caddy is wedged. */
const answerTimeoutMs = 60_000;

export async function adaptCaddyfile(settings: HostSettings, text: string): Promise<HostResults['adapt-caddyfile']> {
  const answer = await post(settings, '/adapt', text);
  return answer.status === 200 ? { json: answer.text } : { refused: reasonIn(answer.text) };
}

/** A refused configuration leaves the one before in force. */
export async function loadRoutes(settings: HostSettings): Promise<HostResults['load-routes']> {
  const answer = await post(settings, '/load', await readFile(settings.caddyfile, 'utf8'));
  return { refused: answer.status === 200 ? null : reasonIn(answer.text) };
}

const refusal = z.object({ error: z.string() });

function reasonIn(text: string): string {
  try {
    return refusal.parse(JSON.parse(text)).error.slice(0, 2_000);
  } catch {
    return text.slice(0, 2_000);
  }
}

function post(settings: HostSettings, path: string, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(new OperatorError('RUNTIME_FAILED', 'Caddy does not answer on its admin socket.', { cause }));
    const asked = request(
      {
        socketPath: settings.caddySocket,
        path,
        method: 'POST',
        // Caddy takes no host name on a unix socket but the empty one.
        setHost: false,
        headers: { host: '', 'content-type': 'text/caddyfile', 'content-length': Buffer.byteLength(body) },
        timeout: answerTimeoutMs,
      },
      (response) => {
        textOf(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), fail);
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('timed out')));
    asked.on('error', fail);
    asked.end(body);
  });
}
