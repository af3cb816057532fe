-- Uploads as a second kind of delivery, payloads that hold results, and lanes: how many requests are under way at once to one address.

-- Deliveries that must not crowd out others: those to one endpoint, or of one tenant to the same origin.
create function lane_of(endpoint_id uuid, tenant text, url text) returns text language sql immutable as $$
    select coalesce(endpoint_id::text, tenant || ' ' || lower(coalesce(substring(url from '^[^/]*//[^/?#]*'), '')))
$$;

alter table endpoints
    add column payload text not null default 'thin' check (payload in ('thin', 'full'));

alter table deliveries
    add column kind       text not null default 'webhook' check (kind in ('webhook', 'upload')),
    add column form       text not null default 'thin',    -- of the body that is sent: what `body` is completed to at each attempt
    add column lane       text,
    add column in_flight  boolean not null default false,  -- claimed; with a due_at that has passed, by someone who died
    add column parked     boolean not null default false,  -- its message came while the lane was full, and is gone: whoever makes room sends another
    add column keep_until timestamptz,                     -- the body had a link to the result in it
    add column code       text;                            -- why it failed

update deliveries set lane = lane_of(endpoint_id, (select tenant from jobs where jobs.id = deliveries.job_id), endpoint);
alter table deliveries alter column lane set not null;

drop index deliveries_of_job_once;
create unique index deliveries_of_job_once on deliveries (event_id, kind) where endpoint_id is null;
create index deliveries_in_flight on deliveries (lane) where in_flight;
create index deliveries_parked on deliveries (lane, due_at, id) where parked;
create index if not exists deliveries_due on deliveries (due_at) where state = 'pending';

-- Lanes whose last request got no answer. The others have no row.
create table lanes (
    key        text primary key,
    failures   integer not null default 1,        -- requests without an answer, in a row
    failed_at  timestamptz not null default now(),
    shut_until timestamptz,
    probe_at   timestamptz                        -- for when the next attempt has been announced
);

alter table jobs add column upload jsonb;         -- what came of the upload: state, code, at
