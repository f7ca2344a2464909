/**
 * The Shell port in a small process of its own. To start a program, Node copies the page tables of the whole process and waits for the copy to become
 * the program: 10 to 30 ms in an operator of 200 MB on two busy cores, in which it does nothing else, not even answer a delivery. A small process
 * needs 5, and keeps nobody waiting.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { OperatorError } from '../../core/errors.ts';
import type { Shell, ShellCommand, ShellResult } from '../../ports.ts';
import type { LocalShellOptions } from './local-shell.ts';
import type { ShellReply, ShellRequest } from './shell-process.ts';

const SHELL_PROCESS = fileURLToPath(new URL('./shell-process.ts', import.meta.url));

export interface SeparateShellOptions extends LocalShellOptions {
  /** Directory that keeps the stripped TypeScript, so that the process starts sooner. */
  readonly compileCache: string;
}

/**
 * Runs commands as localShell does. Should its process end, the commands that it ran fail with RUNTIME_FAILED, and the next one has a new process;
 * when we end, however we end, what still runs is ended too.
 */
export function separateShell(options: SeparateShellOptions): Shell & AsyncDisposable {
  let current = new ShellProcess(options);
  return {
    async run(command, signal) {
      signal?.throwIfAborted();
      if (current.hasEnded) current = new ShellProcess(options);
      const running = current.start(command);
      const abort = () => running.abort();
      signal?.addEventListener('abort', abort);
      try {
        const result = await running.result;
        signal?.throwIfAborted();
        return result;
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    },
    [Symbol.asyncDispose]: () => current.end(),
  };
}

interface Waiting {
  resolve(result: ShellResult): void;
  reject(error: OperatorError): void;
}

class ShellProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  hasEnded = false;

  constructor({ path, home, compileCache }: SeparateShellOptions) {
    this.#child = fork(SHELL_PROCESS, {
      cwd: '/',
      env: { PATH: path, HOME: home, LANG: 'C.UTF-8', NODE_COMPILE_CACHE: compileCache },
      execArgv: ['--disable-warning=ExperimentalWarning'],
      // Bytes on the standard input of a command stay bytes.
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (reply: ShellReply) => this.#settle(reply));
    this.#child.once('error', (error) => this.#fail(error.message));
    this.#child.once('exit', (status, signal) => this.#fail(`It ended with ${signal ?? `status ${status}`}.`));
  }

  start(command: ShellCommand): { result: Promise<ShellResult>; abort(): void } {
    const id = (this.#lastId += 1);
    const { promise, resolve, reject } = Promise.withResolvers<ShellResult>();
    this.#waiting.set(id, { resolve, reject });
    this.#send({ kind: 'run', id, command });
    return { result: promise, abort: () => this.#send({ kind: 'abort', id }) };
  }

  /** Nothing of it runs when this resolves. */
  async end(): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    await ended;
  }

  /** What cannot be sent is not lost: the end of the process is an answer too. */
  #send(request: ShellRequest): void {
    if (this.#child.connected) this.#child.send(request, () => undefined);
  }

  #settle(reply: ShellReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.kind === 'ended') waiting?.resolve(reply.result);
    else
      waiting?.reject(
        new OperatorError('RUNTIME_FAILED', reply.message, reply.detail === undefined ? {} : { detail: reply.detail }),
      );
  }

  #fail(why: string): void {
    this.hasEnded = true;
    const error = new OperatorError('RUNTIME_FAILED', 'The process that runs commands for the operator has ended.', {
      detail: why,
    });
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}
