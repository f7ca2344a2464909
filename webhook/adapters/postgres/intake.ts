/**
 * Intake on PostgreSQL with group commit. What arrived in one turn of the event loop, or while a commit was under way, is committed together.
 * Nothing waits on purpose, and under load one flush to the disk serves dozens of deliveries.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Pool } from 'pg';
import { OperatorError } from '../../core/errors.ts';
import { COMMENT_REPAIR_PAUSE_MS, INTAKE_BATCH_MAX, INTAKE_BATCH_WHOLE, INTAKE_QUEUE_MAX } from '../../core/limits.ts';
import { keyText, type PullRequestEvent } from '../../core/pull-request.ts';
import type { Acceptance, Intake, Log } from '../../ports.ts';
import { rowsOf, stateError } from './connections.ts';
import { subjectColumns } from './preview-store.ts';

/** GitHub gives up on a delivery after 10 s: no answer of ours is of use later than that. */
export const INTAKE_TIMEOUT_MS = 8_000;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

interface Waiting {
  readonly deliveryId: string;
  readonly event: PullRequestEvent;
  readonly outcome: PromiseWithResolvers<Acceptance>;
}

/** The pool is the intake's own, with one connection: no other work can get in front of a delivery. */
export function openIntake(pool: Pool, log: Log): Intake {
  const waiting: Waiting[] = [];
  let isCommitting = false;

  const commitAll = async () => {
    isCommitting = true;
    let settled = 0;
    while (waiting.length > 0) {
      await turnOfTheLoop();
      const batch = waiting.splice(0, batchSize({ waiting: waiting.length, settled }));
      await settle(pool, batch, log);
      settled = batch.length;
    }
    isCommitting = false;
  };

  return {
    accept(deliveryId, event) {
      if (!UUID.test(deliveryId))
        return Promise.reject(new OperatorError('BAD_REQUEST', 'The delivery id is not a UUID.'));
      if (waiting.length >= INTAKE_QUEUE_MAX)
        return Promise.reject(
          new OperatorError('STATE_UNAVAILABLE', `${INTAKE_QUEUE_MAX} deliveries already wait for PostgreSQL.`),
        );
      const outcome = Promise.withResolvers<Acceptance>();
      waiting.push({ deliveryId: deliveryId.toLowerCase(), event, outcome });
      if (!isCommitting) void commitAll();
      return outcome.promise;
    },
    async doubtComment(key, commentId) {
      const [row] = await rowsOf<{ isOurs: boolean }>(
        pool,
        'select berth.doubt_comment($1, $2, $3 * interval \'1 ms\') as "isOurs"',
        [keyText(key), commentId, COMMENT_REPAIR_PAUSE_MS],
      );
      return row?.isOurs === true;
    },
  };
}

/**
 * How many of the waiting deliveries the next commit takes, after one that `settled` some. Whoever was answered sends the next delivery, so that the senders
 * form two groups: one is read while the other is committed. No group may become much the larger one: while it is committed there is nothing to read, and
 * while it is read nothing to commit. So a commit takes half of all that were in hand, and costs no sender more commits than two groups do anyway.
 */
function batchSize({ waiting, settled }: { waiting: number; settled: number }): number {
  const half = Math.ceil((waiting + settled) / 2);
  return Math.min(waiting, INTAKE_BATCH_MAX, Math.max(INTAKE_BATCH_WHOLE, half));
}

/** Commits a batch and answers each of it. A delivery that PostgreSQL refuses for its own sake fails alone. */
async function settle(pool: Pool, batch: readonly Waiting[], log: Log): Promise<void> {
  let fresh: Set<string>;
  try {
    fresh = await commit(pool, batch);
  } catch (error) {
    const failure = stateError(error);
    const isAway = failure instanceof OperatorError && failure.code === 'STATE_UNAVAILABLE';
    log.warn({ err: error, deliveries: batch.length }, 'deliveries could not be committed');
    if (isAway || batch.length === 1) {
      for (const each of batch) each.outcome.reject(failure);
      return;
    }
    for (const each of batch) await settle(pool, [each], log);
    return;
  }
  // The same delivery twice in one batch: the first is the one that was accepted.
  for (const each of batch) each.outcome.resolve(fresh.delete(each.deliveryId) ? 'accepted' : 'duplicate');
}

/** Durable when it resolves. Returns the ids that were not known before. */
async function commit(pool: Pool, batch: readonly Waiting[]): Promise<Set<string>> {
  const subjects = batch.map(({ event }) => subjectColumns(event.key));
  const { rows } = await pool.query<{ id: string }>({
    name: 'accept',
    text: 'select id from berth.accept_deliveries($1, $2, $3, $4, $5, $6, $7) as id',
    values: [
      batch.map(({ deliveryId }) => deliveryId),
      batch.map(({ event }) => event.action),
      batch.map(({ event }) => event.key.repositoryId),
      subjects.map(({ pull }) => pull),
      subjects.map(({ branch }) => branch),
      batch.map(({ event }) => event.repository),
      batch.map(({ event }) => keyText(event.key)),
    ],
  });
  return new Set(rows.map(({ id }) => id));
}
