-- Lexicons, and what those of jobs held when the jobs were submitted.

create table lexicons (
    id          uuid primary key,
    tenant      text not null,
    name        text not null,
    corrections jsonb not null,                   -- [{from, to, match_case, whole_word}]
    hotwords    jsonb not null,                   -- [text]
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);

create index lexicons_by_tenant on lexicons (tenant, id);

-- A copy, since a retry runs with exactly what was submitted. Not a column of `jobs`, whose rows are read all the time.
create table job_lexicons (
    job_id      uuid primary key references jobs on delete cascade,
    corrections jsonb not null,
    hotwords    jsonb not null
);
