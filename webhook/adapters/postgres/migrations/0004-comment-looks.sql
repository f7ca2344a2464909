-- Somebody may edit or delete our comment. A report believes what it wrote last, unless a look at GitHub was asked for after the last
-- one. Whole milliseconds, because that is what a Date holds: what was read and is saved again is equal.
alter table berth.reports
  add column look_asked_at timestamptz(3),
  add column looked_at timestamptz(3);

-- Somebody else edited or deleted a comment. If it is ours, a look at it and a report, in one transaction, unless one was asked for less than
-- `pause` ago: then the next sweep does. Says whether it is ours.
create function berth.doubt_comment(key text, comment_id bigint, pause interval) returns boolean
language plpgsql as $$
#variable_conflict use_column
begin
  perform from berth.reports where key = doubt_comment.key and comment_id = doubt_comment.comment_id;
  if not found then
    return false;
  end if;
  update berth.reports set look_asked_at = clock_timestamp()
  where key = doubt_comment.key and coalesce(look_asked_at < clock_timestamp() - doubt_comment.pause, true);
  if found then
    perform berth.ask_for_jobs('report', array[doubt_comment.key], now());
  end if;
  return true;
end;
$$;
