-- berth_web is the role of the one process that the Internet reaches (webhook/main.ts --only web). It hands in deliveries, and doubts about a
-- comment, by the two functions below, which run with their owner's rights; it can read, change and delete nothing. Whoever wants
-- that process lets the role log in (ALTER ROLE berth_web LOGIN; server-config/modules/database does it on a NixOS host).
do $$
begin
  create role berth_web nologin;
exception
  -- Roles belong to the whole server: another database of ours has it already, or is making it at this moment.
  when duplicate_object or unique_violation then null;
end;
$$;

-- What a later migration makes is nobody's but the operator's either, unless it says so.
revoke execute on all functions in schema berth from public;
alter default privileges revoke execute on functions from public;

alter function berth.accept_deliveries(uuid[], text[], bigint[], integer[], text[], text[], text[])
  security definer set search_path = pg_catalog, pg_temp;
alter function berth.doubt_comment(text, bigint, interval)
  security definer set search_path = pg_catalog, pg_temp;

grant usage on schema berth to berth_web;
grant execute on function
  berth.accept_deliveries(uuid[], text[], bigint[], integer[], text[], text[], text[]),
  berth.doubt_comment(text, bigint, interval)
to berth_web;
