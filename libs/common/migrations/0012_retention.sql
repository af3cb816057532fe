-- What goes before a job's time is over, what the store has lost, what remains to be told of what was deleted, and messages that were given up.

alter table jobs
    add column audio_deleted_at timestamptz,      -- its recording went before the rest
    add column expired_at timestamptz,
    add column lost text[] not null default '{}', -- objects that should be in the store and are not: recording, or a name among the result's keys
    add column receipt jsonb;                     -- of an expired job: what was deleted, when, and why

update jobs set expired_at = expires_at where status = 'expired';

-- Of jobs that were deleted, whose rows are gone.
create table receipts (
    job_id     uuid primary key,
    tenant     text not null,
    receipt    jsonb not null,
    deleted_at timestamptz not null default now()
);

create index receipts_by_age on receipts (deleted_at, job_id);

-- Poison that was taken out of the broker, to be looked at.
create table dead_letters (
    id          uuid primary key,                 -- made of the message itself, so that one that comes twice is kept once
    queue       text not null,                    -- the one that gave it up
    reason      text not null,                    -- the broker's: rejected, delivery_limit, ...
    job_id      uuid,                             -- that it names, if it names one
    event_type  text,
    headers     jsonb not null,
    body        bytea not null,
    judged      boolean not null default false,   -- whether what it names has been failed, or was found to be innocent
    recorded_at timestamptz not null default now()
);

create index dead_letters_by_age on dead_letters (recorded_at);
create index dead_letters_unjudged on dead_letters (recorded_at) where not judged;

create index jobs_recorded on jobs (finished_at, id) where audio_deleted_at is null and status in ('completed', 'failed', 'cancelled');
create index jobs_redacted on jobs (finished_at, id) where audio_deleted_at is null and status = 'completed' and options ? 'redact';
create index jobs_delivered on jobs (expires_at, id) where retention = '0' and status in ('completed', 'failed', 'cancelled');
create index jobs_tombstones on jobs (expired_at, id) where status = 'expired';
create index jobs_lost on jobs (id) where lost <> '{}';

create index if not exists deliveries_due on deliveries (due_at) where state = 'pending';
create index deliveries_settled on deliveries (finished_at, id) where state <> 'pending';
