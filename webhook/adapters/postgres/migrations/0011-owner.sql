-- Whose database this is: the host whose state directory goes with it. One row, made by the first operator that starts.
create table berth.owner (
  only_one boolean primary key default true check (only_one),
  host_id uuid not null,
  since timestamptz not null default now()
);
