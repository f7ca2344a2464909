-- Deliveries that wait at the same time, in one statement and one commit: each recorded once, and for the fresh ones the preview's
-- wish to be looked at and the job that does it. Returns the ids that were not known before.
create function berth.accept_deliveries(
  ids uuid[], actions text[], repository_ids bigint[], pull_numbers integer[], branches text[], repositories text[], keys text[]
) returns setof uuid
language plpgsql as $$
declare
  fresh uuid[];
  closed text[];
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

  -- A closed pull request that we know nothing of needs no look: there is nothing to take down. So a record is made only for keys of
  -- which something else was said too.
  select array_agg(key) into closed from (
    select key from unnest(ids, actions, keys) as each(id, action, key)
    where id = any (fresh) group by key having bool_and(action = 'closed')
  ) as only_closed;
  if closed is not null then
    with known as (
      update berth.previews set generation = generation + 1, requested_at = now()
      where key = any (closed)
      returning key
    )
    select array_agg(key) into wanted from known;
  end if;

  with upserted as (
    insert into berth.previews as previews (repository_id, pull_number, branch, repository)
    select distinct on (key) repository_id, pull_number, branch, repository
    from unnest(ids, repository_ids, pull_numbers, branches, repositories, keys)
      with ordinality as each(id, repository_id, pull_number, branch, repository, key, nth)
    where id = any (fresh) and key <> all (coalesce(closed, '{}'))
    order by key, nth desc
    on conflict (key) do update
    set generation = previews.generation + 1, requested_at = now(), repository = excluded.repository
    returning previews.key
  )
  select coalesce(wanted, '{}') || coalesce(array_agg(key), '{}') into wanted from upserted;

  if wanted <> '{}' then
    perform berth.ask_for_jobs('reconcile', wanted, now());
  end if;
  return query select unnest(fresh);
end;
$$;
