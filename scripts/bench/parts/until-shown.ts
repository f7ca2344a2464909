/** When does a preview answer, without asking for it so often that the answer comes later? */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client, Notification } from 'pg';

const LOOK_EVERY_MS = 5;
const TIMEOUT_MS = 60_000;

/** Asks every few milliseconds. Throws when the condition is not met within a minute. */
export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`did not happen in time: ${what}`);
    await delay(LOOK_EVERY_MS);
  }
}

/** Ends of what is measured, told by PostgreSQL: whoever asks instead works on the cores that are measured. */
export interface Endings {
  /** Resolves when the preview’s route is switched from now on. Throws after a minute. */
  switched(slug: string): Promise<void>;
  /** Resolves when the preview is forgotten from now on. Throws after a minute. */
  gone(slug: string): Promise<void>;
}

/** `database` is the operator’s own, as somebody who may add triggers to it; they cost nothing before the end that they tell of. */
export async function watchEndings(database: Client): Promise<Endings> {
  await database.query(`
    create function public.tell_bench() returns trigger language plpgsql as $$
    begin
      perform pg_notify(tg_argv[0], coalesce(new.slug, old.slug));
      return null;
    end
    $$;
    create trigger bench_switched after update of answering_id on berth.previews for each row
      when (new.answering_id is not null and new.answering_id is distinct from old.answering_id)
      execute function public.tell_bench('bench_switched');
    create trigger bench_gone after delete on berth.previews for each row
      execute function public.tell_bench('bench_gone');
    listen bench_switched;
    listen bench_gone;`);
  const next = (channel: string, slug: string): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onNotification = (told: Notification) => {
      if (told.channel === channel && told.payload === slug) resolve();
    };
    database.on('notification', onNotification);
    const timer = setTimeout(() => reject(new Error(`${channel} did not happen in time: ${slug}`)), TIMEOUT_MS);
    return promise.finally(() => {
      clearTimeout(timer);
      database.off('notification', onNotification);
    });
  };
  return { switched: (slug) => next('bench_switched', slug), gone: (slug) => next('bench_gone', slug) };
}

/** Milliseconds from now until `isShown`, which is not asked before the preview’s route is switched. Something has to be under way, or this does not end well. */
export async function untilShown(endings: Endings, slug: string, isShown: () => Promise<boolean>): Promise<number> {
  const begun = performance.now();
  await endings.switched(slug);
  await until(isShown, `${slug} is shown`);
  return performance.now() - begun;
}
