import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { DELIVERY_SECRET } from './sent-deliveries.ts';

export interface IntakeProcess extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
}

/** Starts the webhook listener on a database, and kills it when disposed of. */
export async function startIntakeProcess(databaseUrl: string): Promise<IntakeProcess> {
  // Its log goes to nobody, but it is written.
  const child = fork(join(import.meta.dirname, 'an-intake-process.ts'), [databaseUrl, DELIVERY_SECRET], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exit = once(child, 'exit');
  const failed = exit.then(() => Promise.reject(new Error('the intake process did not start')));
  const [message] = (await Promise.race([once(child, 'message'), failed])) as [{ port: number }];
  failed.catch(() => undefined);
  return {
    pid: child.pid ?? 0,
    port: message.port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exit;
    },
  };
}
