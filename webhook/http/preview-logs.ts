/** What `preview logs` shows: the output of one instance, and when it follows, of one instance after the other, as pushes bring them. */
import { OperatorError } from '../core/errors.ts';
import type { InstanceName } from '../core/names.ts';
import { answeringInstance, phaseOf, type InstanceRecord, type PreviewRecord } from '../core/preview.ts';
import type { LogLineView, LogsLine } from '../core/preview-view.ts';
import type { PreviewKey } from '../core/pull-request.ts';
import type { Operator } from '../ports.ts';

export interface LogsAsked {
  readonly follow: boolean;
  /** Of what was printed before. */
  readonly lines: number;
  /** Fires when whoever asked has gone. */
  readonly signal: AbortSignal;
}

/** More than an instance prints before it is noticed; of one that is new all lines are shown. */
const LINES_OF_A_NEW_ONE = 10_000;

/** Two looks a blink of an eye apart; each is one primary-key read per follower. */
const LOOK_EVERY_MS = 150;

/** An instance that has printed nothing yet has no log, and a container that starts no journal: it is asked again. */
const ASK_AGAIN_MS = 1_000;

type LogsPorts = Pick<Operator, 'store' | 'runtime' | 'clock'>;

/** With `follow` until the preview is gone or nobody listens any more. */
export async function* logsOf(op: LogsPorts, record: PreviewRecord, asked: LogsAsked): AsyncGenerator<LogsLine> {
  let instance = instanceToRead(record);
  let { lines } = asked;
  if (!asked.follow) {
    if (instance !== null) yield* linesOf(op, instance.name, asked);
    return;
  }
  while (!asked.signal.aborted) {
    const next = nextInstance(op, record.key, instance, asked.signal);
    if (instance !== null) yield* linesUntil(op, instance.name, { ...asked, lines, over: next });
    const found = await next;
    if (asked.signal.aborted) return;
    if (found === null) {
      yield { gone: true };
      return;
    }
    yield { goesOnWith: { commit: found.revision.sha } };
    // Of one that is brought back by a rollback, what it printed in its first life is of no interest.
    lines = instance === null || found.id > instance.id ? LINES_OF_A_NEW_ONE : 0;
    instance = found;
  }
}

/** The one whose output answers "what is going on": the one that answers, unless the newest one is still coming up or has failed. */
function instanceToRead(record: PreviewRecord): InstanceRecord | null {
  const newest = record.instances.at(-1) ?? null;
  const answering = answeringInstance(record);
  // After a rollback the newest one is retired, and stays so when the next push comes.
  return answering !== null && (phaseOf(record).name === 'live' || newest?.retiredAt != null) ? answering : newest;
}

/** Resolves with the instance that is to be read instead of this one, once there is one; with null when the preview is gone or the signal has fired. */
async function nextInstance(
  { store, clock }: LogsPorts,
  key: PreviewKey,
  instance: InstanceRecord | null,
  signal: AbortSignal,
): Promise<InstanceRecord | null> {
  while (!signal.aborted) {
    const record = await unlessAway(store.load(key));
    // What has been printed has no part in PostgreSQL's being away: the next look may be answered.
    if (record === 'away') {
      await clock.sleep(ASK_AGAIN_MS, signal).catch(() => undefined);
      continue;
    }
    // Destroyed by an operator: its record stays until the pull request is closed.
    if (record === null || phaseOf(record).name === 'held') return null;
    const now = instanceToRead(record);
    if (now !== null && now.id !== instance?.id) return now;
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
  }
  return null;
}

async function unlessAway<Found>(look: Promise<Found>): Promise<Found | 'away'> {
  return look.catch((error: unknown) => {
    if (error instanceof OperatorError && error.code === 'STATE_UNAVAILABLE') return 'away' as const;
    throw error;
  });
}

async function* linesUntil(
  op: LogsPorts,
  name: InstanceName,
  asked: LogsAsked & { readonly over: Promise<unknown> },
): AsyncGenerator<LogLineView> {
  const ended = new AbortController();
  asked.over.then(
    () => ended.abort(),
    () => ended.abort(),
  );
  const signal = AbortSignal.any([asked.signal, ended.signal]);
  let { lines } = asked;
  let [shownBefore, latest] = ['', ''];
  while (!signal.aborted) {
    for await (const line of linesOf(op, name, { ...asked, lines, signal })) {
      if (line.at <= shownBefore) continue;
      yield line;
      if (line.at > latest) latest = line.at;
    }
    // Asked again, after its files were made anew or its container was started again: for all that came since.
    if (latest !== '') [lines, shownBefore] = [LINES_OF_A_NEW_ONE, latest];
    await op.clock.sleep(ASK_AGAIN_MS, signal).catch(() => undefined);
  }
}

async function* linesOf(
  { runtime }: LogsPorts,
  name: InstanceName,
  { follow, lines, signal }: LogsAsked,
): AsyncGenerator<LogLineView> {
  for await (const line of runtime.logs(name, { follow, tailLines: lines, signal }))
    yield { at: line.at.toISOString(), source: line.source, text: line.text };
}
