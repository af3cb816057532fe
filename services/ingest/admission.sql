-- name: queue_load
-- Queued jobs of everybody and of one tenant, counted no further than their limits: that many index entries are read at the most.
select (select count(*) from (select from jobs where status = 'queued' limit $2) counted) as queued,
       (select count(*) from (select from jobs where status = 'queued' and tenant = $1 limit $3) counted) as own;

-- name: lock_quota
-- Until the end of the transaction a tenant's jobs are admitted one by one, so that two cannot both be the last.
select pg_advisory_xact_lock(hashtextextended('queued jobs of ' || $1, 0));

-- name: take_token
-- A token bucket, kept as the time at which it will be full again: a request puts that off by $2, and not beyond $3 from now.
with taken as (
    insert into rate_limits as bucket (key_id, full_at)
    values ($1, clock_timestamp() + $2::interval)
    on conflict (key_id) do update
    set full_at = greatest(bucket.full_at, clock_timestamp()) + $2::interval
    where bucket.full_at <= clock_timestamp() + $3::interval - $2::interval
    returning full_at
)
select exists (select from taken) as taken,
       (select full_at + $2::interval - $3::interval - clock_timestamp() from rate_limits where key_id = $1) as wait;
