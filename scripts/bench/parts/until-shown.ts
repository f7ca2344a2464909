/** When does a preview answer, without asking it so often that the answer comes later for it? */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';

const LOOK_EVERY_MS = 5;
/** While its source is fetched, its container boots and its app is set up. */
const READ_EVERY_MS = 20;
const TIMEOUT_MS = 60_000;

/** Asks every few milliseconds, or as often as `pauseMs` says. Throws when the condition is not met within a minute. */
export async function until(
  condition: () => Promise<boolean>,
  what: string,
  pauseMs: () => number = () => LOOK_EVERY_MS,
): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`did not happen in time: ${what}`);
    await delay(pauseMs());
  }
}

/** A preview under way, and how to see that it is shown. */
interface Awaited {
  readonly slug: string;
  readonly isShown: () => Promise<boolean>;
  /** The least that the same ever took; 0 when it is not known. For half of it nothing is asked at all: half of a slow one may be more than this one takes. */
  readonly leastMs: number;
}

/**
 * Milliseconds from now until it is shown. That is not asked before the preview's route is switched: each look is work for the proxy and for whoever answers,
 * on the two cores that are measured. Something has to be done about the preview, or this does not end well.
 */
export async function untilShown(database: Client, { slug, isShown, leastMs }: Awaited): Promise<number> {
  const begun = performance.now();
  await delay(leastMs / 2);
  let step = '';
  // Within half of that time it has.
  let hasBegun = leastMs > 0;
  const isSwitching = async () => {
    step = await stepOf(database, slug);
    hasBegun ||= step !== '';
    return step === 'switch-route' || (hasBegun && step === '');
  };
  await until(isSwitching, `the route of ${slug} is switched`, () =>
    isAboutToShow(step) ? LOOK_EVERY_MS : READ_EVERY_MS,
  );
  await until(isShown, `${slug} is shown`);
  return performance.now() - begun;
}

function isAboutToShow(step: string): boolean {
  return step === 'start' || step === 'check-health';
}

/** What the operator is doing about the preview; empty when nothing. */
async function stepOf(database: Client, slug: string): Promise<string> {
  const { rows } = await database.query<{ step: string | null }>(
    'select doing_step as step from berth.previews where slug = $1',
    [slug],
  );
  return rows[0]?.step ?? '';
}
