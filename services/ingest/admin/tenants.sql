-- name: read_limits
-- A tenant's own limits, and what it has submitted, in seconds.
select (select audio_seconds_per_day from tenant_limits where tenant = $1) as per_day,
       (select audio_seconds_per_month from tenant_limits where tenant = $1) as per_month,
       coalesce((select sum(seconds) from audio_usage where tenant = $1 and day = today), 0) as today,
       coalesce((select sum(seconds) from audio_usage where tenant = $1 and day >= date_trunc('month', today)::date), 0) as this_month
from (select (now() at time zone 'UTC')::date as today) clock;

-- name: set_limits
insert into tenant_limits (tenant, audio_seconds_per_day, audio_seconds_per_month) values ($1, $2, $3)
on conflict (tenant) do update
set audio_seconds_per_day = excluded.audio_seconds_per_day, audio_seconds_per_month = excluded.audio_seconds_per_month;
