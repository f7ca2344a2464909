-- As before (0002-jobs.sql), but a job that waits for a time to come is left as it is too when it is asked for at that time or later: it was written anew, and
-- every worker was told of it and looked for nothing. While a preview comes up, its progress is asked to be told a few times, each time for a second later.
create or replace function berth.ask_for_jobs(task text, keys text[], at timestamptz) returns void
language plpgsql as $$
declare
  -- smallint's largest, for both: nothing is ever given up, since who throws has the look asked for again.
  attempts_max constant smallint := 32767;
  turn_max constant integer := 32767;
  missing text[];
  waiting text[];
  -- How many of those are due.
  due integer;
  -- The turn that is up; null when nothing waits.
  front smallint;
  specs graphile_worker.job_spec[];
  added text[];
begin
  perform berth.lock_jobs(task, keys);
  with left_alone as (
    select key, run_at from graphile_worker._private_jobs
    where key = any (select task || ':' || key from unnest(keys) as key) and is_available and run_at <= at
    for no key update skip locked
  )
  select array_agg(substr(key, length(task) + 2)), count(*) filter (where run_at <= now()) into waiting, due from left_alone;
  if due > 0 then
    perform pg_notify('jobs:insert', json_build_object('r', random(), 'count', due)::text);
  end if;

  select array_agg(distinct key) into missing from unnest(keys) as key where key <> all (coalesce(waiting, '{}'));
  while missing is not null loop
    select min(priority) into front
    from graphile_worker._private_jobs where is_available and run_at <= now() and starts_with(key, task || ':');

    with turns as materialized (
      select split_part(substr(key, length(task) + 2), '/', 1) as repository, max(priority) + 1 as next
      from graphile_worker._private_jobs
      where is_available and run_at <= now() and starts_with(key, task || ':')
      group by repository
    ), asked as (
      select key, split_part(key, '/', 1) as repository,
        row_number() over (partition by split_part(key, '/', 1) order by array_position(keys, key)) - 1 as nth
      from unnest(missing) as key
    )
    select array_agg((
      task,
      json_build_object('key', asked.key),
      task || ':' || md5(asked.key),
      least(at, pending.run_at),
      attempts_max,
      task || ':' || asked.key,
      case
        when pending.run_at <= now() then pending.priority
        when front is null then least(turn_max, asked.nth)::smallint
        else least(turn_max, asked.nth + greatest(
          front, (select turns.next from turns where turns.repository = asked.repository)
        ))::smallint
      end,
      null
    )::graphile_worker.job_spec) into specs
    from asked
    left join graphile_worker._private_jobs as pending on pending.key = task || ':' || asked.key and pending.is_available;

    select array_agg(jobs.key) into added from graphile_worker.add_jobs(specs) as jobs;
    select array_agg(key) into missing from unnest(missing) as key
    where task || ':' || key <> all (coalesce(added, '{}'));
  end loop;
end;
$$;
