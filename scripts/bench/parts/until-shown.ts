/** When does a preview answer, without asking it so often that the answer comes later for it? */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';

const LOOK_EVERY_MS = 5;
/** While its source is fetched, its container boots and its app is set up. */
const READ_EVERY_MS = 20;
const TIMEOUT_MS = 60_000;

/** Throws when the condition is not met within a minute. */
export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`did not happen in time: ${what}`);
    await delay(LOOK_EVERY_MS);
  }
}

/**
 * Milliseconds from now until `isShown`. It is not asked before the preview's route is switched, or nothing is done about the preview: each look is work
 * for the proxy and for whoever answers, on the two cores that are measured.
 */
export async function untilShown(database: Client, slug: string, isShown: () => Promise<boolean>): Promise<number> {
  const begun = performance.now();
  for (let step = ''; step !== 'switch-route'; await delay(isAboutToShow(step) ? LOOK_EVERY_MS : READ_EVERY_MS)) {
    step = await stepOf(database, slug);
    if (step === '' && (await isShown())) break;
  }
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
