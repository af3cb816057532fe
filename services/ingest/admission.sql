-- name: load
-- What admission depends on, in one look. Queued jobs of everybody and of one tenant are counted no further than their limits: that many index
-- entries are read at the most. Seconds of audio that the tenant has submitted today and this month (UTC), how many it may (its own limits
-- before the server's, $4 and $5), and how long that holds.
select (select count(*) from (select from jobs where status = 'queued' limit $2) counted) as queued,
       (select count(*) from (select from jobs where status = 'queued' and tenant = $1 limit $3) counted) as own,
       coalesce((select level from storage_state), 'ok') as space,
       coalesce((select sum(seconds) from audio_usage where tenant = $1 and day = today), 0) as day_seconds,
       coalesce((select sum(seconds) from audio_usage where tenant = $1 and day >= date_trunc('month', today)::date), 0) as month_seconds,
       coalesce((select audio_seconds_per_day from tenant_limits where tenant = $1), $4::float8) as day_limit,
       coalesce((select audio_seconds_per_month from tenant_limits where tenant = $1), $5::float8) as month_limit,
       (today + 1)::timestamp - now() at time zone 'UTC' as day_left,
       date_trunc('month', today::timestamp) + interval '1 month' - now() at time zone 'UTC' as month_left
from (select (now() at time zone 'UTC')::date as today) clock;

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
