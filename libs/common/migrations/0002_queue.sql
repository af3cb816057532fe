-- The order of the queue as a number that each job is given when it queues, what is known of durations and times, and who works.

alter table jobs
    add column band           smallint not null default 1,           -- where it queues: its priority, or better when it has waited long
    add column band_since     timestamptz not null default now(),
    add column turn           bigint not null default 0,             -- the round of its band in which it is served; one job a tenant a round
    add column duration       real,                                  -- seconds of audio; an estimate until it has been decoded
    add column duration_known boolean not null default false,
    add column claimed_at     timestamptz,                           -- of the latest claim
    add column eta            timestamptz,                           -- the first time of completion that anybody was told
    add column eta_told_at    timestamptz;

-- The latest round of which each band has served a job. Who has nothing queued joins in the round after it.
create table queue_rounds (
    band smallint primary key,
    turn bigint not null default 0
) with (fillfactor = 20);

insert into queue_rounds (band) values (0), (1), (2);

update jobs set band = priority, turn = place
from (
    select id as job, row_number() over (partition by tenant, priority order by claim_after, id) as place from jobs where status = 'queued'
) placed
where id = job;

drop index jobs_claimable;
-- The order of claims. With what may be claimed and how long it is, so that counting what is ahead of a job reads the index alone.
create index jobs_claimable on jobs (band, turn, id, claim_after) include (duration) where status = 'queued';
create index jobs_waiting on jobs (tenant, band, turn, id) where status = 'queued';
create index jobs_lifted on jobs (tenant, band) where status = 'queued' and band < priority;
create index jobs_completed on jobs (finished_at) where status = 'completed';

create table workers (
    id              uuid primary key,             -- one per process; shown to clients, unlike the name
    name            text not null,                -- as in jobs.worker
    slots           smallint not null,            -- jobs that it has at once
    jobs_per_tenant smallint,                     -- that it lets any one tenant have, over all workers
    started_at      timestamptz not null default now(),
    alive_until     timestamptz not null
);
