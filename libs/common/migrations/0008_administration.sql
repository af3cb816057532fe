-- What an operator looks after: keys that end, sweeps on request, the space that is left, archives that are being made, and how much audio a
-- tenant may submit.

alter table api_keys add column expires_at timestamptz;

-- Streams that are open are cut when their key ends.
create function api_key_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('api_key', new.id::text);
    return null;
end $$;

create trigger api_key_changed after update of revoked_at, expires_at on api_keys
    for each row execute function api_key_notify();

-- Failures that another attempt may mend, oldest first.
create index jobs_resumable on jobs (finished_at, id) where status = 'failed' and (error->'retryable')::boolean;

create table cleanups (
    id           uuid primary key,
    request      jsonb not null,                  -- duties, dry_run
    requested_at timestamptz not null default now(),
    finished_at  timestamptz,
    reports      jsonb,                           -- one for each duty, once it is finished
    check ((finished_at is null) = (reports is null))
);

create index cleanups_by_age on cleanups (requested_at);

-- What the janitor measured last: one row each for a kind of objects of an age, and one for all of it.
create table storage_usage (
    kind    text not null,
    age     text not null,
    objects bigint not null,
    bytes   bigint not null,
    primary key (kind, age)
);

create table storage_state (
    single      boolean primary key default true check (single),
    measured_at timestamptz not null,
    objects     bigint not null,
    bytes       bigint not null,
    capacity    bigint,                           -- bytes; null: not known, so never low
    level       text not null check (level in ('ok', 'warning', 'critical'))
);

-- An archive that was asked for and is not there yet; `error` when it cannot be made. The object in the bucket is the archive's own proof.
create table archive_requests (
    job_id       uuid not null references jobs on delete cascade,
    variant      text not null,
    requested_at timestamptz not null default now(),
    attempt      smallint not null default 0,
    error        jsonb,                           -- code, message, retryable
    primary key (job_id, variant)
);

create table tenant_limits (
    tenant                  text primary key,
    audio_seconds_per_day   double precision,     -- null: as the server's default says
    audio_seconds_per_month double precision
);

-- Seconds of audio submitted, by the day (UTC) of the submission. What is deleted has been submitted all the same.
create table audio_usage (
    tenant  text not null,
    day     date not null,
    seconds double precision not null,
    jobs    bigint not null,
    primary key (tenant, day)
);

insert into audio_usage (tenant, day, seconds, jobs)
select tenant, (created_at at time zone 'UTC')::date, coalesce(sum(duration), 0), count(*) from jobs group by 1, 2;

create function audio_usage_count() returns trigger language plpgsql as $$
begin
    insert into audio_usage (tenant, day, seconds, jobs)
    select tenant, (created_at at time zone 'UTC')::date, coalesce(sum(duration), 0), count(*) from added group by 1, 2
    on conflict (tenant, day) do update set seconds = audio_usage.seconds + excluded.seconds, jobs = audio_usage.jobs + excluded.jobs;
    return null;
end $$;

create trigger job_submitted after insert on jobs referencing new table as added
    for each statement execute function audio_usage_count();

-- An estimate that is replaced by the true duration.
create function audio_usage_correct() returns trigger language plpgsql as $$
begin
    update audio_usage set seconds = seconds + coalesce(new.duration, 0) - coalesce(old.duration, 0)
    where tenant = new.tenant and day = (new.created_at at time zone 'UTC')::date;
    return null;
end $$;

create trigger job_measured after update of duration on jobs
    for each row when (old.duration is distinct from new.duration) execute function audio_usage_correct();
