-- Facts of previews. What state a preview is in is computed from them (webhook/core/preview.ts, phaseOf), never stored.

create table berth.previews (
  id bigint generated always as identity primary key,
  repository_id bigint not null check (repository_id > 0),
  pull_number integer check (pull_number > 0),
  branch text check (octet_length(branch) between 1 and 244),
  -- keyText of webhook/core/pull-request.ts. Unique on it is unique on (repository_id, pull_number) and on (repository_id, branch).
  key text not null unique generated always as (
    repository_id || case when branch is null then '/pull/' || pull_number else '/branch/' || branch end
  ) stored,
  repository text not null,
  generation bigint not null default 1,
  created_at timestamptz not null default now(),
  requested_at timestamptz not null default now(),
  retry_asked_at timestamptz,
  slug text unique,
  wanted jsonb,
  hold jsonb,
  failure jsonb,
  database_name text unique,
  database_password text,
  doing_step text,
  doing_since timestamptz,
  constraint previews_subject_check check (num_nonnulls(pull_number, branch) = 1),
  constraint previews_database_check check (num_nonnulls(database_name, database_password) <> 1),
  constraint previews_doing_check check (num_nonnulls(doing_step, doing_since) <> 1)
);

create table berth.instances (
  id bigint generated always as identity primary key,
  preview_id bigint not null references berth.previews on delete cascade,
  revision_sha text not null,
  revision_ref text not null,
  -- The preview's generation when the instance was created.
  generation bigint not null,
  created_at timestamptz not null default now(),
  manifest jsonb,
  assumptions jsonb not null default '[]',
  system text,
  source_placed_at timestamptz,
  set_up_at timestamptz,
  upstreams jsonb,
  healthy_at timestamptz,
  routed_at timestamptz,
  retired_at timestamptz,
  failed_at timestamptz,
  discarded_at timestamptz,
  timings jsonb not null default '{}'
);
create index on berth.instances (preview_id);

alter table berth.previews
  add column answering_id bigint references berth.instances on delete set null;

-- One counter per host, for previews and agents alike; nextSlot of webhook/core/slots.ts decides while the counter's row is locked.
create table berth.slot_counters (
  host text primary key,
  next_slot integer not null default 1 check (next_slot > 0)
);

-- The slots in use. A row goes with its owner, so no slot outlives what it was given to.
create table berth.slots (
  host text not null references berth.slot_counters,
  slot integer not null check (slot > 0),
  purpose text not null check (purpose in ('preview', 'agent')),
  instance_id bigint unique references berth.instances on delete cascade,
  taken_at timestamptz not null default now(),
  primary key (host, slot),
  constraint slots_owner_check check (purpose <> 'preview' or instance_id is not null)
);

-- Every DNS label that a preview answers to, its slug among them: no two previews can have one name.
create table berth.host_labels (
  label text primary key check (length(label) between 1 and 63),
  preview_id bigint not null references berth.previews on delete cascade
);
create index on berth.host_labels (preview_id);

create table berth.deliveries (
  id uuid primary key,
  event text not null,
  action text not null,
  repository_id bigint not null,
  subject text not null,
  received_at timestamptz not null default now()
);

-- What was last told to a pull request. Outlives the preview: a reopened pull request keeps its one comment.
create table berth.reports (
  key text primary key,
  repository text not null,
  comment_id bigint,
  comment_hash text,
  status_sha text,
  status_hash text,
  updated_at timestamptz not null default now(),
  constraint reports_status_check check (num_nonnulls(status_sha, status_hash) <> 1)
);
