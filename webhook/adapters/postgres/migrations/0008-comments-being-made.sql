-- Since when a comment of ours may be there whose id we never learned: the operator may have died between GitHub's making of it and our
-- storing of its id. Whole milliseconds, as for the looks (0004).
alter table berth.reports add column creating_since timestamptz(3);
