-- Jobs, the outbox that announces their changes, webhook deliveries and API keys.

create type job_status as enum ('uploading', 'queued', 'processing', 'completed', 'failed', 'cancelled', 'expired');

create table jobs (
    id           uuid primary key,
    tenant       text not null,
    status       job_status not null,
    priority     smallint not null,               -- 0 high, 1 normal, 2 low
    options      jsonb not null,                  -- frozen at submission
    source       jsonb not null,                  -- filename, content_type, size, sha256, kind
    retention    interval not null,               -- from the end of the job until it expires
    attempt      smallint not null default 0,     -- claims so far that count
    max_attempts smallint not null,
    lease_token  uuid,                            -- who may write to the job while it is processing
    lease_until  timestamptz,
    worker       text,
    stage        text,
    progress     real not null default 0,
    result       jsonb,                           -- bucket, keys, language, duration, speakers
    error        jsonb,                           -- code, message, retryable; also while a failed attempt waits for the next
    trace        text,                            -- W3C traceparent of the submission
    created_at   timestamptz not null default now(),
    queued_at    timestamptz,
    claim_after  timestamptz not null default now(),
    started_at   timestamptz,
    finished_at  timestamptz,
    expires_at   timestamptz,
    check ((status = 'processing') = (lease_token is not null)),
    check ((lease_token is null) = (lease_until is null)),
    check (status <> 'completed' or result is not null),
    check (status <> 'failed' or error is not null)
);

create index jobs_claimable on jobs (priority, claim_after, id) where status = 'queued';
create index jobs_leases on jobs (lease_until) where status = 'processing';
create index jobs_expiring on jobs (expires_at) where status in ('completed', 'failed', 'cancelled');
create index jobs_by_tenant on jobs (tenant, id desc);

create table outbox (
    id           bigint generated always as identity primary key,
    event_id     uuid not null,
    type         text not null,                   -- routing key
    source       text not null,
    subject      text not null,
    body         bytea not null,
    trace        text,                            -- W3C traceparent at the time of the insert
    created_at   timestamptz not null default now(),
    available_at timestamptz not null default now(),
    attempt      smallint not null default 0      -- publishes refused so far
);

create index outbox_due on outbox (available_at, id);

create function outbox_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('outbox', '');
    return null;
end $$;

create trigger outbox_inserted after insert on outbox
    for each statement execute function outbox_notify();

create function job_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('job', coalesce(new.id, old.id)::text);
    return null;
end $$;

create trigger job_changed after update of status on jobs
    for each row when (old.status is distinct from new.status) execute function job_notify();

create trigger job_deleted after delete on jobs
    for each row execute function job_notify();

create table deliveries (
    id          uuid primary key,
    job_id      uuid not null references jobs on delete cascade,
    event_id    uuid not null,
    event_type  text not null,
    endpoint    text not null,                    -- URL
    body        bytea not null,                   -- the exact bytes that are signed and sent
    state       text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
    attempt     smallint not null default 0,      -- attempts made
    due_at      timestamptz not null default now(),  -- when the next may be made; while it is made, when that claim runs out
    created_at  timestamptz not null default now(),
    finished_at timestamptz,
    unique (event_id, endpoint)
);

create index deliveries_by_job on deliveries (job_id);

create table delivery_attempts (
    delivery_id uuid not null references deliveries on delete cascade,
    attempt     smallint not null,
    started_at  timestamptz not null default now(),
    milliseconds integer not null,
    status      smallint,                         -- HTTP status, null when there was no answer
    answer      text,                             -- its first 2 kB
    error       text,                             -- why there was no answer
    primary key (delivery_id, attempt)
);

create table api_keys (
    id         uuid primary key,
    tenant     text not null,
    name       text not null,
    hash       bytea not null unique,             -- SHA-256 of the key, which is 256 random bits
    scopes     text[] not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);
