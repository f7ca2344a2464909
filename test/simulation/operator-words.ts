/** What operators say with `preview destroy`, `rollback` and `update`, through the real actions; and what has to have become of it. */
import { OperatorError } from '../../webhook/core/errors.ts';
import type { Hold } from '../../webhook/core/preview.ts';
import { keyText, type PreviewKey, type Sha } from '../../webhook/core/pull-request.ts';
import { destroyPreview, rollbackPreview, updatePreview } from '../../webhook/http/operator-actions.ts';
import type { Operator } from '../../webhook/ports.ts';
import type { SimulatedPull } from './simulated-github.ts';

export const WORDS = ['destroy', 'rollback', 'update'] as const;
export type WordKind = (typeof WORDS)[number];

interface Word {
  readonly hold: Hold | null;
  readonly atMs: number;
  /** Whether the head may ever have been seen to be another one than the hold is about. */
  mayBeOver: boolean;
}

export class OperatorWords {
  /** What was stored last, by preview. */
  readonly #said = new Map<string, Word>();

  /** An operator types the command. Being refused is an answer, and so is a state that fails. */
  async speak(op: Operator, kind: WordKind, slug: string): Promise<void> {
    try {
      if (kind === 'destroy') await destroyPreview(op, slug);
      else if (kind === 'rollback') await rollbackPreview(op, slug);
      else await updatePreview(op, slug, new AbortController().signal);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
    }
  }

  /** The state has taken it. Where there is old news, the head may at any time be seen to be another. */
  stored(
    key: PreviewKey,
    hold: Hold | null,
    now: { atMs: number; pull: SimulatedPull | undefined; oldNews: boolean },
  ): void {
    const { atMs, pull, oldNews } = now;
    if (pull !== undefined && hold?.kind === 'destroyed') pull.wasAbsent = true;
    this.#said.set(keyText(key), { hold, atMs, mayBeOver: oldNews || pull?.sha !== hold?.whileHead });
  }

  /** The head moved: from here on it is up to what was seen of that. */
  headMoved(key: PreviewKey): void {
    const word = this.#said.get(keyText(key));
    if (word !== undefined) word.mayBeOver = true;
  }

  /** The record is gone, and what was said of it. */
  forgotten(key: PreviewKey): void {
    this.#said.delete(keyText(key));
  }

  /** When something was last said of the preview, in elapsed milliseconds. */
  saidAtMs(key: PreviewKey): number {
    return this.#said.get(keyText(key))?.atMs ?? 0;
  }

  /** What is wrong with the hold of a preview at rest. */
  problemsOf(key: PreviewKey, hold: Hold | null, head: Sha): string[] {
    const word = this.#said.get(keyText(key));
    const isForgotten = hold === null && word !== undefined && word.hold !== null && !word.mayBeOver;
    return [
      ...(hold !== null && hold.whileHead !== head ? [`it is ${hold.kind} although its head has moved on`] : []),
      ...(isForgotten ? [`it is not ${word.hold?.kind} any more although its head is the same`] : []),
    ];
  }
}
