-- The one way by which jobs get into the queue. Around graphile_worker.add_jobs, because that alone leaves three holes:
--
-- 1. It clears the key of a job that runs and then inserts a follow-up. A job that starts between the two is neither cleared nor
--    updated: the request is lost. So whatever add_jobs did not return is asked for again (a new statement sees the lock).
-- 2. A request for later would postpone one for now, or the other way round. Here a look takes place no later than anyone asked.
-- 3. Queue rows are made per key and have to be deleted when idle. One deleted between "exists" and "insert" would leave a job
--    that no worker ever sees. So asking shares a lock that the deletion takes alone (collect_job_garbage).
--
-- Fairness: a job's priority is its repository's turn, as in start-time fair queueing: one more than the last turn of the same
-- repository that still waits, but not before the turn that is up. 300 pull requests of one repository and one of another take
-- turns, and within a repository the order is that of asking.
--
-- A job that waits already and is due is left as it is, which costs a fifth of asking again. Its row is locked until the transaction
-- ends, so that no worker starts it before it can see what is new. A worker that came by meanwhile skipped it: hence the notification,
-- in the words of graphile_worker.add_jobs.

-- Until the end of the transaction nobody else asks for these jobs. Taken in one order by everybody, and before any row of
-- berth.previews is locked, so that no two transactions can wait for each other.
create function berth.lock_jobs(task text, keys text[]) returns void
language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(hashtext('berth.collect_job_garbage'), 0);
  perform pg_advisory_xact_lock(hashtext('berth.lock_jobs'), hash)
    from (select distinct hashtext(task || ':' || key) as hash from unnest(keys) as key order by hash) as hashes;
end;
$$;

create function berth.ask_for_jobs(task text, keys text[], at timestamptz) returns void
language plpgsql as $$
declare
  -- smallint's largest, for both: nothing is ever given up, since who throws has the look asked for again.
  attempts_max constant smallint := 32767;
  turn_max constant integer := 32767;
  missing text[];
  waiting text[];
  -- The turn that is up; null when nothing waits.
  front smallint;
  specs graphile_worker.job_spec[];
  added text[];
begin
  perform berth.lock_jobs(task, keys);
  with due as (
    select key from graphile_worker._private_jobs
    where key = any (select task || ':' || key from unnest(keys) as key) and is_available and run_at <= least(at, now())
    for no key update skip locked
  )
  select array_agg(substr(key, length(task) + 2)) into waiting from due;
  if waiting is not null then
    perform pg_notify('jobs:insert', json_build_object('r', random(), 'count', cardinality(waiting))::text);
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

-- Deletes what the queue leaves behind: rows of queues that nothing is in, and jobs that lost their key to a follow-up and then
-- their worker. Returns the number of rows.
create function berth.collect_job_garbage() returns integer
language plpgsql as $$
declare
  jobs_deleted integer;
  queues_deleted integer;
begin
  perform pg_advisory_xact_lock(hashtext('berth.collect_job_garbage'), 0);
  delete from graphile_worker._private_jobs where attempts >= max_attempts and locked_at is null and key is null;
  get diagnostics jobs_deleted = row_count;
  delete from graphile_worker._private_job_queues as queues
  where locked_at is null and not exists (
    select from graphile_worker._private_jobs as jobs where jobs.job_queue_id = queues.id
  );
  get diagnostics queues_deleted = row_count;
  return jobs_deleted + queues_deleted;
end;
$$;

-- A reason to look at a preview, and the job for it. Null options leave what is there; `lift_hold` clears the hold.
create function berth.request_look(
  key text, repository_id bigint, pull_number integer, branch text, repository text,
  retry boolean, hold jsonb, lift_hold boolean
) returns void
language plpgsql as $$
#variable_conflict use_column
begin
  perform berth.lock_jobs('reconcile', array[request_look.key]);
  insert into berth.previews as previews (repository_id, pull_number, branch, repository, retry_asked_at, hold)
  values (
    request_look.repository_id, request_look.pull_number, request_look.branch, request_look.repository,
    case when request_look.retry then now() end, request_look.hold
  )
  on conflict (key) do update
  set generation = previews.generation + 1,
    requested_at = now(),
    repository = excluded.repository,
    retry_asked_at = coalesce(excluded.retry_asked_at, previews.retry_asked_at),
    hold = case when request_look.lift_hold then null else coalesce(excluded.hold, previews.hold) end;
  perform berth.ask_for_jobs('reconcile', array[request_look.key], now());
end;
$$;
