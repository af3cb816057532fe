-- name: queue_depth
-- Jobs and seconds of audio waiting in each band.
select band, count(*) as jobs, coalesce(sum(duration), 0)::float8 as seconds from jobs where status = 'queued' group by band order by band;

-- name: queue_milestones
-- Every $1-th job of the queue with what is before it and itself: from there on counting is short. Reads the index alone.
select band, turn, id, jobs, seconds::float8
from (
    select band, turn, id, row_number() over place as jobs, sum(duration) over place as seconds
    from jobs where status = 'queued'
    window place as (order by band, turn, id rows unbounded preceding)
) numbered
where jobs % $1 = 0
order by band, turn, id;

-- name: queue_places
-- For each of the jobs ($1, $2, $3), what is queued between its milestone ($4, $5, $6) and itself.
select wanted.id, ahead.jobs, ahead.seconds
from unnest($1::smallint[], $2::bigint[], $3::uuid[], $4::smallint[], $5::bigint[], $6::uuid[])
     as wanted (band, turn, id, from_band, from_turn, from_id),
lateral (
    select count(*) as jobs, coalesce(sum(duration), 0)::float8 as seconds from jobs
    where status = 'queued' and (band, turn, id) > (from_band, from_turn, from_id) and (band, turn, id) < (wanted.band, wanted.turn, wanted.id)
) ahead;

-- name: works
-- What is being worked on, how much of it is left, and by how many slots of workers that are alive.
select now(), busy.jobs, busy.seconds, coalesce(alive.slots, 0) as slots
from (
    select count(*) as jobs, coalesce(sum(duration * (1 - progress / 100)), 0)::float8 as seconds from jobs where status = 'processing'
) busy, (
    select sum(slots)::int as slots from workers where alive_until > now()
) alive;

-- name: measured_speed
-- Over the latest $1 completed jobs: seconds of audio, and the seconds for which a worker had them.
select count(*) as jobs, coalesce(sum(duration), 0)::float8 as audio,
       coalesce(sum(extract(epoch from finished_at - claimed_at)), 0)::float8 as taken
from (
    select duration, finished_at, claimed_at from jobs
    where status = 'completed' and claimed_at is not null and duration_known
    order by finished_at desc limit $1
) latest;

-- name: eta_errors
-- Over the latest $1 completed jobs of which an ETA was told: how far off the first one was; late is positive.
select count(*) as jobs,
       percentile_cont(0.5) within group (order by abs(off)) as median_seconds,
       percentile_cont(0.9) within group (order by abs(off)) as p90_seconds,
       percentile_cont(0.5) within group (order by off) as median_late_seconds
from (
    select extract(epoch from finished_at - eta)::float8 as off from jobs
    where status = 'completed' and eta is not null
    order by finished_at desc limit $1
) latest;

-- name: tell_etas
-- Keep the first ETA that anybody is told of a job.
update jobs set eta = told.eta, eta_told_at = now()
from unnest($1::uuid[], $2::timestamptz[]) as told (id, eta)
where jobs.id = told.id and status = 'queued' and jobs.eta is null;

-- name: workers_alive
select workers.id, slots, workers.started_at, (select count(*) from jobs where status = 'processing' and jobs.worker = workers.name) as active
from workers where alive_until > now() order by workers.started_at, workers.id;

-- name: beat
-- A worker is alive for another $5; the first time it makes itself known.
insert into workers (id, name, slots, jobs_per_tenant, alive_until) values ($1, $2, $3, $4, now() + $5)
on conflict (id) do update set alive_until = excluded.alive_until;

-- name: leave
-- A worker ends; those that ended without a word go with it after a while.
delete from workers where id = $1 or alive_until < now() - interval '1 day';
