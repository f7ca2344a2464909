/** Promise R1 (b): the operator is killed at random moments under a steady load, at times with its whole PostgreSQL, and started again each time. */
import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '../../simulation/random.ts';
import { onServer } from '../on-server.ts';
import { waitUntil } from '../wait-until.ts';
import { AnOperator } from './an-operator.ts';
import { acknowledgedOf, lostOf, send, type SentDelivery } from './sent-deliveries.ts';

export interface KillOptions {
  readonly kills: number;
  readonly perSecond: number;
  readonly random: SeededRandom;
}

export interface KillResult {
  readonly kills: number;
  /** Of these, so many with every process of PostgreSQL. */
  readonly withPostgres: number;
  readonly sent: number;
  readonly acknowledged: number;
  /** Acknowledged and not in PostgreSQL at the end. */
  readonly lost: number;
  /** Answers that are neither 202 nor 503 with Retry-After. */
  readonly otherAnswers: number;
  /** Acknowledged, and its pull request was not looked at afterwards. */
  readonly unserved: number;
  /** From the kill to an operator that is ready, starting Node included. */
  readonly restartMs: readonly number[];
  /** From there until GitHub was asked again for each pull request that the killed one was at work on; 0 when it was before. */
  readonly pickUpMs: readonly number[];
}

/** Pull requests that the load is about, in turn. */
const PULL_REQUESTS = 12;

/** So that some look is always under way when the kill comes. */
const GITHUB_ANSWERS_AFTER_MS = 100;

/** Between kills: so many acknowledgements, and then a moment that has nothing to do with them. */
const ACKNOWLEDGED_MIN = 5;
const ACKNOWLEDGED_MAX = 45;
const MOMENT_MAX_MS = 30;

/** Every so many kills PostgreSQL dies too. */
const WITH_POSTGRES_EVERY = 3;

const SERVED_TIMEOUT_MS = 60_000;

export async function killUnderLoad(options: KillOptions): Promise<KillResult> {
  await using operator = await AnOperator.start();
  operator.github.faults.add({
    on: 'pulls/get',
    times: Number.POSITIVE_INFINITY,
    fault: { kind: 'slow', ms: GITHUB_ANSWERS_AFTER_MS },
  });
  const load = startLoad(operator, options.perSecond);
  const lives: Life[] = [];
  try {
    for (let kill = 1; kill <= options.kills; kill += 1)
      lives.push(
        await killOnce(operator, load, { random: options.random, withPostgres: kill % WITH_POSTGRES_EVERY === 0 }),
      );
  } finally {
    await load.stop();
  }
  const acknowledged = acknowledgedOf(load.sent);
  const isServed = (each: LoadedDelivery) => operator.looksAt(each.number, each.requestsBefore) > 0;
  // The last of each pull request stands for those before it.
  const last = [
    ...new Map(load.sent.filter(({ status }) => status === 202).map((each) => [each.number, each])).values(),
  ];
  await waitUntil('every pull request is looked at', () => last.every(isServed), SERVED_TIMEOUT_MS).catch(
    () => undefined,
  );
  return {
    kills: lives.length,
    withPostgres: lives.filter(({ withPostgres }) => withPostgres).length,
    sent: load.sent.length,
    acknowledged: acknowledged.length,
    lost: (await lostOf(await operator.databaseUrl(), load.sent)).length,
    otherAnswers: load.sent.filter((each) => !isHonest(each)).length,
    unserved: load.sent.filter((each) => each.status === 202 && !isServed(each)).length,
    restartMs: lives.map(({ restartMs }) => restartMs),
    pickUpMs: lives.flatMap(({ pickUpMs }) => pickUpMs ?? []),
  };
}

/** 202, or 503 with the moment to come back, or no answer at all. */
export function isHonest({ status, retryAfter }: SentDelivery): boolean {
  return status === null || status === 202 || (status === 503 && retryAfter !== null);
}

interface Life {
  readonly withPostgres: boolean;
  readonly restartMs: number;
  /** Null when nothing was being worked on. */
  readonly pickUpMs: number | null;
}

async function killOnce(
  operator: AnOperator,
  load: Load,
  { random, withPostgres }: { random: SeededRandom; withPostgres: boolean },
): Promise<Life> {
  const enough = acknowledgedOf(load.sent).length + random.integer(ACKNOWLEDGED_MIN, ACKNOWLEDGED_MAX);
  await waitUntil('deliveries are acknowledged', () => acknowledgedOf(load.sent).length >= enough, SERVED_TIMEOUT_MS);
  await delay(random.next() * MOMENT_MAX_MS);

  const killedAt = performance.now();
  await Promise.all([operator.process.kill(), withPostgres ? operator.killPostgres() : null]);
  const atWork = withPostgres ? [] : await pullRequestsAtWork(operator);
  const before = operator.github.requests.length;
  await operator.startAgain();
  const readyAt = performance.now();
  const isPickedUp = () => atWork.every((number) => operator.looksAt(number, before) > 0);
  const wasPickedUp = isPickedUp();
  await waitUntil('the work of the killed one is picked up', isPickedUp, SERVED_TIMEOUT_MS);
  const pickUpMs = wasPickedUp ? 0 : Math.round(performance.now() - readyAt);
  return {
    withPostgres,
    restartMs: Math.round(readyAt - killedAt),
    pickUpMs: atWork.length === 0 ? null : pickUpMs,
  };
}

/** Whose jobs are locked by a worker. */
async function pullRequestsAtWork(operator: AnOperator): Promise<number[]> {
  const rows = await onServer(
    await operator.databaseUrl(),
    `select split_part(payload->>'key', '/', 3)::int as number
     from graphile_worker._private_jobs as jobs join graphile_worker._private_tasks as tasks on tasks.id = jobs.task_id
     where identifier = 'reconcile' and locked_at is not null`,
  );
  return rows.map((row) => Number(row['number']));
}

/** A delivery, and how many requests GitHub had seen when it was sent. */
type LoadedDelivery = SentDelivery & { readonly requestsBefore: number };

interface Load {
  readonly sent: readonly LoadedDelivery[];
  /** Waits for the answers that are still out. */
  stop(): Promise<void>;
}

function startLoad(operator: AnOperator, perSecond: number): Load {
  const agent = new Agent({ keepAlive: true });
  const sent: LoadedDelivery[] = [];
  const out = new Set<Promise<void>>();
  const startedAt = performance.now();
  let begun = 0;
  const one = async (number: number) => {
    const requestsBefore = operator.github.requests.length;
    const seen = await send({ port: operator.port, agent }, operator.repositoryId, number);
    sent.push({ ...seen, requestsBefore });
  };
  const timer = setInterval(() => {
    // As many as are due by now: a timer that fires late must not make the load lighter.
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * perSecond);
    for (; begun < due; begun += 1) {
      const asked = one((begun % PULL_REQUESTS) + 1).finally(() => out.delete(asked));
      out.add(asked);
    }
  }, 1_000 / perSecond);
  return {
    sent,
    async stop() {
      clearInterval(timer);
      await Promise.all(out);
      agent.destroy();
    },
  };
}
