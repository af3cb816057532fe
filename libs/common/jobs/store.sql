-- name: lock_tail
-- Who adds to a tenant's queue does so alone, or two jobs would get the same turn. A process that is stopped with the lock in its hands
-- loses its connection, and the lock with it.
select pg_advisory_xact_lock(hashtextextended('tail ' || $1::text, 0)), set_config('idle_in_transaction_session_timeout', '5s', true);

-- name: create_job
-- (new) -> queued, in the round after the tenant's last job, or after the round that is being served. The object is already in the bucket;
-- the caller holds `lock_tail` and adds job.created in the same transaction.
insert into jobs (id, tenant, status, priority, options, source, retention, max_attempts, trace, queued_at, band, duration, duration_known, cache,
                  turn)
values ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, now(), $3, $9, $10, $11, 1 + greatest(
    (select turn from queue_rounds where band = $3),
    (select turn from jobs where tenant = $2 and status = 'queued' and band = $3 order by turn desc limit 1)
))
returning *;

-- name: find_reusable
-- The latest job of a tenant that came of the same recording with the same options, less those that make no difference ($3). What its lexicon
-- held must be what it holds now.
select jobs.* from jobs
where tenant = $1 and status = 'completed' and source->>'sha256' = $2 and expires_at > now()
  and options - $3::text[] = $4::jsonb
  and (not options ? 'lexicon_id' or (
      select kept.corrections = lexicons.corrections and kept.hotwords = lexicons.hotwords
      from job_lexicons kept join lexicons on lexicons.id = (jobs.options->>'lexicon_id')::uuid
      where kept.job_id = jobs.id
  ))
order by finished_at desc
limit 1;

-- name: reuse_result
-- queued -> completed: the result is a copy of an earlier job's. In the transaction that created the job, so that no worker can have it.
update jobs
set status = 'completed', result = $2, progress = 100, finished_at = now(), expires_at = now() + retention,
    duration = $3, duration_known = true, source = source || jsonb_build_object('kind', $4::text)
where id = $1 and status = 'queued'
returning *;

-- name: get_job
select * from jobs where id = $1 and tenant = $2;

-- name: get_jobs
select jobs.* from unnest($1::uuid[], $2::text[]) asked (id, tenant) join jobs using (id, tenant);

-- name: job_held
select * from jobs where lease_token = $1 and status = 'processing';

-- name: claim_job
-- queued -> processing: the best job that may be claimed now, whichever token brought us here; with $4, only if it is at most so many seconds
-- long. The band's round moves on with it, unless another claim is moving it: a claim waits for nobody, and a round that lags by one costs
-- nobody more than a place.
with first as (
    select id, band, turn, duration from jobs
    where status = 'queued' and claim_after <= now()
    order by band, turn, id
    limit 1
    for update skip locked
), best as (
    select id, band, turn from first where $4::float8 is null or duration <= $4
), round as (
    select queue_rounds.band from queue_rounds join best on queue_rounds.band = best.band and queue_rounds.turn < best.turn
    for update of queue_rounds skip locked
), moved as (
    update queue_rounds set turn = best.turn from best, round where queue_rounds.band = round.band
)
update jobs
set status = 'processing', lease_token = $1, lease_until = now() + $2, worker = $3, attempt = attempt + 1,
    stage = 'fetch', progress = 0, started_at = coalesce(started_at, now()), claimed_at = now()
from best
where jobs.id = best.id
returning jobs.*;

-- name: lock_claims
-- Whether a tenant is below its limit can be told only when no other claim is under way. A process that is stopped with the lock in its
-- hands loses its connection, and the lock with it.
select pg_advisory_xact_lock(hashtextextended('claims', 0)), set_config('idle_in_transaction_session_timeout', '5s', true);

-- name: claim_job_within_limit
-- queued -> processing: the same, passing over tenants that have $5 jobs in the works. It looks at the first job of each tenant, as all that
-- a tenant at its limit has queued may be ahead of everybody else's. The caller holds `lock_claims`.
with recursive tenants as (
    (select tenant from jobs where status = 'queued' order by tenant limit 1)
    union all
    select (select jobs.tenant from jobs where status = 'queued' and jobs.tenant > tenants.tenant order by jobs.tenant limit 1)
    from tenants where tenants.tenant is not null
), busy as (
    select tenant from jobs where status = 'processing' group by tenant having count(*) >= $5
), first as (
    select head.* from tenants, lateral (
        select id, band, turn from jobs
        where jobs.tenant = tenants.tenant and status = 'queued' and claim_after <= now()
        order by band, turn, id limit 1
    ) head
    where tenants.tenant is not null and tenants.tenant not in (select tenant from busy)
), head as (
    select jobs.id, first.band, first.turn, jobs.duration from first join jobs on jobs.id = first.id and jobs.status = 'queued'
    order by first.band, first.turn, first.id
    limit 1
    for update of jobs skip locked
), best as (
    select id, band, turn from head where $4::float8 is null or duration <= $4
), moved as (
    update queue_rounds set turn = best.turn from best where queue_rounds.band = best.band and queue_rounds.turn < best.turn
)
update jobs
set status = 'processing', lease_token = $1, lease_until = now() + $2, worker = $3, attempt = attempt + 1,
    stage = 'fetch', progress = 0, started_at = coalesce(started_at, now()), claimed_at = now()
from best
where jobs.id = best.id
returning jobs.*;

-- name: renew_lease
-- processing -> processing: the heartbeat; 0 rows tell the worker that the job is no longer its own. $6, $7: the true duration and kind, once
-- they are known.
update jobs
set lease_until = now() + $3, stage = $4, progress = greatest(progress, $5),
    duration = coalesce($6, duration), duration_known = duration_known or $6 is not null,
    source = source || jsonb_strip_nulls(jsonb_build_object('kind', $7::text))
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: finish_job
-- processing -> completed: names the winner among results.
update jobs
set status = 'completed', result = $3, error = null, stage = null, progress = 100, lease_token = null, lease_until = null,
    worker = null, finished_at = now(), expires_at = now() + retention, duration = $4, duration_known = true,
    source = source || jsonb_strip_nulls(jsonb_build_object('kind', $5::text))
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: fail_job
-- processing -> failed: the failure is permanent, or it was the last attempt.
update jobs
set status = 'failed', error = $3, stage = null, lease_token = null, lease_until = null, worker = null,
    finished_at = now(), expires_at = now() + retention
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: retry_job
-- processing -> queued: the failure is transient and attempts are left; claimable again after a delay, then at its old place.
update jobs
set status = 'queued', error = $3, stage = null, progress = 0, lease_token = null, lease_until = null, worker = null,
    queued_at = now(), claim_after = now() + $4
where id = $1 and status = 'processing' and lease_token = $2 and attempt < max_attempts
returning *;

-- name: release_job
-- processing -> queued: our own shutdown; the attempt is given back, and so is the place in the queue (`turn` stays).
update jobs
set status = 'queued', attempt = attempt - 1, stage = null, progress = 0, lease_token = null, lease_until = null, worker = null,
    queued_at = now()
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: cancel_job
-- uploading | queued | processing -> cancelled: a worker that has it learns of it from its next heartbeat.
update jobs
set status = 'cancelled', stage = null, lease_token = null, lease_until = null, worker = null,
    finished_at = now(), expires_at = now() + retention
where id = $1 and tenant = $2 and status in ('uploading', 'queued', 'processing')
returning *;

-- name: resubmit_job
-- failed | cancelled -> queued: asked for by a person, with all attempts given anew and exactly the options it had. It queues like a new
-- job; the caller holds `lock_tail`. Not when its time is over, or will be before this is committed: its bytes may be going already. Nor when
-- its recording has gone by itself since the caller looked.
update jobs
set status = 'queued', attempt = 0, error = null, progress = 0, queued_at = now(), claim_after = now(),
    started_at = null, claimed_at = null, finished_at = null, expires_at = null, eta = null, eta_told_at = null,
    band = priority, band_since = now(), turn = 1 + greatest(
        (select turn from queue_rounds where band = jobs.priority),
        (select turn from jobs last where last.tenant = $2 and last.status = 'queued' and last.band = jobs.priority order by turn desc limit 1)
    )
where id = $1 and tenant = $2 and status in ('failed', 'cancelled') and expires_at > clock_timestamp() + interval '10 seconds'
  and audio_deleted_at is null
returning *;

-- name: resumable_jobs
-- Failed, though another attempt may succeed; a page after ($2, $3), those that failed first at its beginning.
select * from jobs
where status = 'failed' and (error->'retryable')::boolean
  and (finished_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by finished_at, id
limit $1;

-- name: lock
-- Before its deliveries, as deleting a job locks them: so whoever changes both and whoever deletes it never wait for each other.
select from jobs where id = $1 for no key update;

-- name: tell_upload
update jobs set upload = $2 where id = $1;

-- name: count_jobs
-- For /metrics.
select status::text as status, count(*) as jobs from jobs group by status;
