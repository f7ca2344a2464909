/** strace on processes that run already, so that only what they do from then on is counted, logged or cut off. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

export interface Strace {
  /** Lets the processes go and ends; the log is whole then. They must be alive: strace can wait without end for one that is dying. */
  stop(): Promise<void>;
  /** Ends at once, whatever became of the processes. */
  kill(): Promise<void>;
}

/** Why strace cannot be used here, with the way out; false when it can. In CI it has to be there. */
export function straceMissing(): string | false {
  if (process.env['CI'] !== undefined) return false;
  if (process.platform !== 'linux') return 'strace, which is for Linux';
  const { error, status } = spawnSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' });
  return error === undefined && status === 0 ? false : 'strace that may trace (apt-get install strace)';
}

/** Resolves when every process is held by it, all their threads and later children included. */
export async function attachStrace(pids: readonly number[], options: readonly string[]): Promise<Strace> {
  const child = spawn('strace', ['-f', '-p', pids.join(' '), ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
  const exit = once(child, 'exit');
  let said = '';
  const { promise: attached, resolve } = Promise.withResolvers<void>();
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
    if (pids.every((pid) => said.includes(`Process ${pid} attached`))) resolve();
  });
  const failed = exit.then(() => Promise.reject(new Error(`strace did not attach: ${said}`)));
  await Promise.race([attached, failed]);
  failed.catch(() => undefined);
  const end = async (signal: 'SIGINT' | 'SIGKILL') => {
    child.kill(signal);
    await exit;
  };
  return { stop: () => end('SIGINT'), kill: () => end('SIGKILL') };
}
