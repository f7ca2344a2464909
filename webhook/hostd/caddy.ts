/**
 * Caddy's admin interface: a unix socket that only Caddy's user and root may open, because whoever speaks to it can make Caddy serve anything.
 * The configuration in force is always the host's own file with what it imports; a text from outside is only ever looked at.
 */
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { OperatorError } from '../core/errors.ts';
import type { HostResults } from '../core/host-verbs.ts';
import type { HostSettings } from './settings.ts';

/** A load answers as soon as the new configuration is in force, also while requests of the one before go on; beyond this Caddy is wedged. */
const answerTimeoutMs = 60_000;

/** What Caddy makes of the text, or why it refuses. Changes nothing. Throws RUNTIME_FAILED when Caddy does not answer. */
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

/** Each load replaces the admin server too: whoever asks just then is cut off, and both questions may be asked again. */
const cutOff: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE']);
const tries = 20;
const pauseMs = 50;

interface CaddyAnswer {
  readonly status: number;
  readonly text: string;
}

async function post(settings: HostSettings, path: string, body: string): Promise<CaddyAnswer> {
  for (let left = tries - 1; ; left -= 1) {
    try {
      return await postOnce(settings, path, body);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (left === 0 || !cutOff.has(code))
        throw new OperatorError('RUNTIME_FAILED', 'Caddy does not answer on its admin socket.', { cause: error });
    }
    await delay(pauseMs);
  }
}

function postOnce(settings: HostSettings, path: string, body: string): Promise<CaddyAnswer> {
  return new Promise((resolve, reject) => {
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
        textOf(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('timed out')));
    asked.on('error', reject);
    asked.end(body);
  });
}
