-- Up to which generation a preview has been looked at and a verdict was written. Whoever asked for something waits for the verdict on that.
alter table berth.previews add column concluded_generation integer not null default 0;
