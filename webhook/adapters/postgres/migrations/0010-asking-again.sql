-- A job that waits for a time to come, and is asked for at that time or later, is left as it is. It was written anew, and every worker was told of it and looked
-- for nothing; while a preview comes up, its progress is asked to be told a few times, each time for a second later. All else is as in 0002-jobs.sql.
alter function berth.ask_for_jobs(text, text[], timestamptz) rename to write_jobs;

create function berth.ask_for_jobs(task text, keys text[], at timestamptz) returns void
language plpgsql as $$
declare
  others text[];
begin
  perform berth.lock_jobs(task, keys);
  -- Locked until the transaction ends: no worker starts one before it can see what is new. One that is due has to be told of.
  with left_alone as (
    select key from graphile_worker._private_jobs
    where key = any (select task || ':' || key from unnest(keys) as key) and is_available and run_at > now() and run_at <= at
    for no key update skip locked
  )
  select array_agg(distinct key) into others from unnest(keys) as key where task || ':' || key not in (select key from left_alone);
  if others is not null then
    perform berth.write_jobs(task, others, at);
  end if;
end;
$$;
