-- Deliveries that wait at the same time, in one statement and one commit: each recorded once, and for the fresh ones the preview's
-- wish to be looked at and the job that does it. Returns the ids that were not known before.
create function berth.accept_deliveries(
  ids uuid[], actions text[], repository_ids bigint[], pull_numbers integer[], branches text[], repositories text[], keys text[]
) returns setof uuid
language plpgsql as $$
declare
  fresh uuid[];
  wanted text[];
begin
  perform berth.lock_jobs('reconcile', keys);

  with inserted as (
    insert into berth.deliveries (id, event, action, repository_id, subject)
    select id, 'pull_request', action, repository_id, substr(key, strpos(key, '/') + 1)
    from unnest(ids, actions, repository_ids, keys) as each(id, action, repository_id, key)
    order by id
    on conflict (id) do nothing
    returning id
  )
  select array_agg(id) into fresh from inserted;
  if fresh is null then
    return;
  end if;

  -- Most previews are known already, and an update costs a fifth of an upsert.
  with updated as (
    update berth.previews as previews
    set generation = previews.generation + 1, requested_at = now(), repository = latest.repository
    from (
      select distinct on (key) key, repository
      from unnest(ids, repositories, keys) with ordinality as each(id, repository, key, nth)
      where id = any (fresh)
      order by key, nth desc
    ) as latest
    where previews.key = latest.key
    returning previews.key
  )
  select coalesce(array_agg(key), '{}') into wanted from updated;

  -- The others are made. Not for a pull request that is closed: there is nothing to take down.
  with made as (
    insert into berth.previews as previews (repository_id, pull_number, branch, repository)
    select distinct on (key) repository_id, pull_number, branch, repository
    from unnest(ids, actions, repository_ids, pull_numbers, branches, repositories, keys)
      with ordinality as each(id, action, repository_id, pull_number, branch, repository, key, nth)
    where id = any (fresh) and key <> all (wanted) and action <> 'closed'
    order by key, nth desc
    on conflict (key) do update
    set generation = previews.generation + 1, requested_at = now(), repository = excluded.repository
    returning previews.key
  )
  select wanted || coalesce(array_agg(key), '{}') into wanted from made;

  if wanted <> '{}' then
    perform berth.ask_for_jobs('reconcile', wanted, now());
  end if;
  return query select unnest(fresh);
end;
$$;
