-- Nobody is told of what happened before it was asked for, whoever looks for ends of which somebody still wants to hear. That an endpoint was
-- paused or described anew since changes nothing.

alter table endpoints add column events_since timestamptz not null default now();  -- when `events` became what they are
update endpoints set events_since = updated_at;

-- Whether an endpoint is to be told how a job has ended.
create function hears_end(endpoint endpoints, job jobs) returns boolean language sql stable as $$
    select endpoint.tenant = job.tenant and 'job.' || job.status = any(endpoint.events) and endpoint.events_since < job.finished_at
$$;
