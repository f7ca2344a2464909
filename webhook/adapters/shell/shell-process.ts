/**
 * The process behind separate-shell.ts: runs commands for its parent, as localShell does, and tells it how they ended. The channel to the parent is all
 * that it listens to; when that closes, whatever runs is ended, and so is this process.
 */
import { operatorErrorFrom } from '../../core/errors.ts';
import type { ShellCommand, ShellResult } from '../../ports.ts';
import { localShell } from './local-shell.ts';

/** What the parent asks for. An `id` is used once. */
export type ShellRequest =
  | { readonly kind: 'run'; readonly id: number; readonly command: ShellCommand }
  | { readonly kind: 'abort'; readonly id: number };

/** One for every `run`. After an abort nothing of the command runs any more. */
export type ShellReply =
  | { readonly kind: 'ended'; readonly id: number; readonly result: ShellResult }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string; readonly detail: string | undefined };

const shell = localShell({ path: process.env['PATH'] ?? '', home: process.env['HOME'] ?? '/' });
const running = new Map<number, AbortController>();

async function run(id: number, command: ShellCommand): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    reply({ kind: 'ended', id, result: await shell.run(command, controller.signal) });
  } catch (thrown) {
    const { message, detail } = operatorErrorFrom(thrown);
    reply({ kind: 'failed', id, message, detail });
  } finally {
    running.delete(id);
    if (!process.connected && running.size === 0) process.exit();
  }
}

function reply(message: ShellReply): void {
  // The parent may go at any time; then nobody waits for it.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

process.on('message', (request: ShellRequest) => {
  if (request.kind === 'run') void run(request.id, request.command);
  else running.get(request.id)?.abort();
});
process.once('disconnect', () => {
  if (running.size === 0) process.exit();
  for (const controller of running.values()) controller.abort();
});
// A terminal or systemd sends these to the whole group; when it is time to go, the parent says so.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);
