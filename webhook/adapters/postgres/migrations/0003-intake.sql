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
  with given as (
    select distinct on (id) *
    from unnest(ids, actions, repository_ids, keys) as each(id, action, repository_id, key)
    order by id
  ), inserted as (
    insert into berth.deliveries (id, event, action, repository_id, subject)
    select id, 'pull_request', action, repository_id, substr(key, strpos(key, '/') + 1) from given order by id
    on conflict (id) do nothing
    returning id
  )
  select coalesce(array_agg(id), '{}') into fresh from inserted;

  -- A closed pull request that we know nothing of needs no look: there is nothing to take down.
  with asked as (
    select distinct on (key) key, repository_id, pull_number, branch, repository,
      bool_and(action = 'closed') over (partition by key) as is_closed
    from unnest(ids, actions, repository_ids, pull_numbers, branches, repositories, keys)
      with ordinality as each(id, action, repository_id, pull_number, branch, repository, key, nth)
    where id = any (fresh)
    order by key, nth desc
  ), known as (
    update berth.previews as previews
    set generation = previews.generation + 1, requested_at = now(), repository = asked.repository
    from asked
    where asked.is_closed and previews.key = asked.key
    returning previews.key
  ), upserted as (
    insert into berth.previews as previews (repository_id, pull_number, branch, repository)
    select repository_id, pull_number, branch, repository from asked where not is_closed order by key
    on conflict (key) do update
    set generation = previews.generation + 1, requested_at = now(), repository = excluded.repository
    returning previews.key
  )
  select array_agg(key) into wanted from (select key from known union all select key from upserted) as all_keys;

  if wanted is not null then
    perform berth.ask_for_jobs('reconcile', wanted, now());
  end if;
  return query select unnest(fresh);
end;
$$;
