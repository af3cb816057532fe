-- Since when each type of event is asked for, and our own store has not given what is to be uploaded; when a lane was announced again.

alter table endpoints add column asked_since jsonb not null default '{}';  -- of the types that were added to `events` after its creation
update endpoints
set asked_since = (select jsonb_object_agg(type, events_since) from unnest(events) type)
where events_since > created_at and events <> '{}';

create or replace function hears_end(endpoint endpoints, job jobs) returns boolean language sql stable as $$
    select endpoint.tenant = job.tenant and 'job.' || job.status = any(endpoint.events)
       and coalesce((endpoint.asked_since->>('job.' || job.status))::timestamptz, endpoint.created_at) < job.finished_at
$$;
alter table endpoints drop column events_since;

alter table deliveries add column postponed_since timestamptz;  -- the next attempt could not be made, for a reason of our own

-- Lanes in which something had been due for a while and nothing was under way.
create table overdue_lanes (
    lane         text primary key,
    announced_at timestamptz not null default now()  -- the last time that this was so
);
