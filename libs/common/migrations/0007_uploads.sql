-- Uploads that come in pieces over several requests, until a job is made of them; and jobs whose result was another's.

create type upload_status as enum ('uploading', 'ready', 'submitted', 'abandoned');

create table uploads (
    id           uuid primary key,                -- also of the job that is made of it: the object lies where that job's recording lies
    tenant       text not null,
    protocol     text not null check (protocol in ('parts', 'tus')),
    status       upload_status not null default 'uploading',
    filename     text not null,
    metadata     text not null,                   -- tus: Upload-Metadata as it was sent
    size         bigint not null,                 -- as announced
    sha256       text,                            -- as announced, in hex
    part_size    bigint not null,
    multipart_id text not null,                   -- the store's name for it
    received     bigint not null default 0,       -- bytes that are safe: tus' offset
    tail         uuid,                            -- tus: the object that holds those of them that make no part yet
    next_part    integer not null default 1,      -- tus: a number that no request has used for a part
    lease_token  uuid,                            -- the request that works on it
    lease_until  timestamptz,
    source       jsonb,                           -- as in jobs; known once all of it was read
    created_at   timestamptz not null default now(),
    expires_at   timestamptz not null,            -- put off by every sign of life
    check ((lease_token is null) = (lease_until is null)),
    check (status not in ('ready', 'submitted') or source is not null)
);

create index uploads_expiring on uploads (expires_at, id);

create table upload_parts (                       -- tus: what the object is made of, in the order of numbers
    upload_id uuid not null references uploads on delete cascade,
    number    integer not null,
    etag      text not null,
    size      bigint not null,
    primary key (upload_id, number)
);

-- hit: the result of an earlier job with the same recording was taken; miss: there was none; null: it was not asked for.
alter table jobs add column cache text check (cache in ('hit', 'miss'));

create index jobs_reusable on jobs (tenant, (source->>'sha256'), finished_at) where status = 'completed';
