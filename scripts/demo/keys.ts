/** The keys of a terminal, heard all the time: also while something that one of them asked for is under way. */
import { emitKeypressEvents } from 'node:readline';
import pico from 'picocolors';

/** What a key asks for. */
export interface Deed {
  /** In words, while it is under way. */
  readonly what: string;
  /** Why it cannot be now; null when it can. */
  objection(): string | null;
  act(): Promise<void>;
}

interface Key {
  readonly name?: string;
  readonly ctrl?: boolean;
}

/**
 * Does what keys ask for, one thing at a time, until `stopping` fires; q and Ctrl-C call `stop`, because a terminal that gives single keys sends no signal. Rejects
 * when something that was asked for fails. Nothing is under way any more when it settles.
 */
export async function actOnKeys(
  deeds: Readonly<Record<string, Deed>>,
  stopping: AbortSignal,
  stop: (why: string) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let underWay: string | null = null;
  const begin = (deed: Deed): void => {
    underWay = deed.what;
    deed.act().then(() => {
      underWay = null;
      if (stopping.aborted) resolve();
    }, reject);
  };
  const press = (_text: string | undefined, key: Key): void => {
    if (key.ctrl === true && key.name === 'c') return stop('Ctrl-C');
    if (key.name === 'q') return stop('q');
    const deed = deeds[key.name ?? ''];
    if (deed === undefined || stopping.aborted) return;
    const objection = underWay ?? deed.objection();
    if (objection === null) begin(deed);
    else console.log(pico.dim(`Not now: ${objection}.`));
  };
  const end = (): void => {
    if (underWay === null) resolve();
  };
  const { stdin } = process;
  // A terminal that was closed can be neither read nor set back.
  stdin.on('error', () => undefined);
  emitKeypressEvents(stdin);
  stdin.setRawMode(true).on('keypress', press).resume();
  stopping.addEventListener('abort', end, { once: true });
  if (stopping.aborted) end();
  try {
    await promise;
  } finally {
    stdin.off('keypress', press).pause().setRawMode(false);
  }
}
