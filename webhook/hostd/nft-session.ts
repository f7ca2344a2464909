/**
 * nft as a process that stays: it takes a transaction on its stdin and has it in the kernel in under a millisecond, however many elements there are.
 * Starting one for each change took 20 ms on two busy cores (docs/reference/container-runtime-figures.md).
 */
import { endGroup, environment, run, start } from './programs.ts';

/** A transaction takes below 5 ms on a busy machine; what takes longer than this is stuck, and is ended. */
const answerTimeoutMs = 5_000;
/**
 * nft keeps every line in its history and goes through it with each: at the 5,000th it uses 3.1 ms of a core where a new one uses 1.7 (one transaction
 * every 20 ms, as among previews that come and go).
 */
const transactionsMax = 500;

export interface NftSession {
  /** The commands of this script are in force, all of them; false: none is. One transaction after the other. */
  apply(script: string): Promise<boolean>;
  close(): void;
}

/** Starts nft with the first transaction, and again when it has gone. Where it takes no commands on its stdin, each script gets an nft of its own. */
export function openNftSession(): NftSession {
  let running: Interactive | null = null;
  let last: Promise<unknown> = Promise.resolve();

  /** Once the caller has its answer: a start takes 20 ms, and the next transaction should not have to wait for it. */
  const replaceSoon = (full: Interactive): void => {
    setImmediate(() => {
      if (running !== full) return;
      full.end();
      running = startInteractive();
    });
  };
  const applied = async (script: string): Promise<boolean> => {
    if (running?.isGone() === true) running = null;
    running ??= startInteractive();
    const answer = await running.apply(script);
    if (running.count >= transactionsMax) replaceSoon(running);
    if (answer !== null) return answer;
    // It has gone in the middle, so whether the kernel has the script is not known. If it does, deleting fails and the caller puts everything back.
    return (await run(['nft', '--file', '-'], { input: script })).status === 0;
  };
  return {
    apply: (script) => {
      const turn = last.then(() => applied(script));
      last = turn.catch(() => undefined);
      return turn;
    },
    close: () => {
      running?.end();
      running = null;
    },
  };
}

interface Interactive {
  readonly count: number;
  /** Null: it ended before it answered. */
  apply(script: string): Promise<boolean | null>;
  isGone(): boolean;
  end(): void;
}

/**
 * nft answers success with silence and a failure with `Error: …` on stderr. Behind every script goes a question for a table that nobody has: once its
 * error is there, all errors of the script are. nft runs each line as one transaction, `;` between its commands.
 */
function startInteractive(): Interactive {
  const child = start(['nft', '--interactive'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    // Its history goes into the home directory, so it has none.
    env: { ...environment, HOME: '/dev/null' },
  });
  let count = 0;
  let isGone = false;
  let text = '';
  let look = (): void => undefined;
  child.stdin?.on('error', () => undefined);
  child.stderr?.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    look();
  });
  for (const event of ['error', 'close'] as const) {
    child.on(event, () => {
      isGone = true;
      look();
    });
  }
  return {
    apply: (script) => {
      count += 1;
      const question = `list table inet no_table_${count}_of_berth`;
      const { promise, resolve } = Promise.withResolvers<boolean | null>();
      const timer = setTimeout(() => endGroup(child), answerTimeoutMs);
      look = () => {
        const at = text.indexOf(`${question}\n`);
        if (at === -1 && !isGone) return;
        clearTimeout(timer);
        look = () => undefined;
        if (at === -1) return resolve(null);
        resolve(text.slice(0, at).split('Error:').length === 2);
        text = text.slice(at + question.length);
      };
      child.stdin?.write(`${script.trim().replaceAll('\n', '; ')}\n${question}\n`);
      look();
      return promise;
    },
    isGone: () => isGone,
    end: () => child.stdin?.end(),
    get count() {
      return count;
    },
  };
}
