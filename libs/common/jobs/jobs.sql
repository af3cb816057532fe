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
    duration = $3, duration_known = true
where id = $1 and status = 'queued'
returning *;

-- name: get_job
select * from jobs where id = $1 and tenant = $2;

-- name: get_jobs
select jobs.* from unnest($1::uuid[], $2::text[]) asked (id, tenant) join jobs using (id, tenant);

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
-- processing -> processing: the heartbeat; 0 rows tell the worker that the job is no longer its own. $6: the true duration, once it is known.
update jobs
set lease_until = now() + $3, stage = $4, progress = greatest(progress, $5),
    duration = coalesce($6, duration), duration_known = duration_known or $6 is not null
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: finish_job
-- processing -> completed: names the winner among results.
update jobs
set status = 'completed', result = $3, error = null, stage = null, progress = 100, lease_token = null, lease_until = null,
    worker = null, finished_at = now(), expires_at = now() + retention, duration = $4, duration_known = true
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

-- name: lock_job
select from jobs where id = $1 and tenant = $2 for update;

-- name: condemn_job
-- completed | failed | cancelled | expired: past its time from now on, so that nobody takes it up again while its bytes go.
update jobs
set expires_at = created_at
where id = $1 and tenant = $2 and status in ('completed', 'failed', 'cancelled', 'expired')
returning *;

-- name: condemn_jobs
-- The same for many, those of them that still have the final status for which they were chosen; locked in one order, as two may overlap.
with chosen as (
    select id from jobs
    where id = any($1::uuid[]) and tenant = $2 and status = $3::job_status and status in ('completed', 'failed', 'cancelled', 'expired')
    order by id for update
)
update jobs set expires_at = created_at from chosen where jobs.id = chosen.id
returning jobs.*;

-- name: resubmit_job
-- failed | cancelled -> queued: asked for by a person, with all attempts given anew and exactly the options it had. It queues like a new
-- job; the caller holds `lock_tail`. Not when its time is over, or will be before this is committed: its bytes may be going already.
update jobs
set status = 'queued', attempt = 0, error = null, progress = 0, queued_at = now(), claim_after = now(),
    started_at = null, claimed_at = null, finished_at = null, expires_at = null, eta = null, eta_told_at = null,
    band = priority, band_since = now(), turn = 1 + greatest(
        (select turn from queue_rounds where band = jobs.priority),
        (select turn from jobs last where last.tenant = $2 and last.status = 'queued' and last.band = jobs.priority order by turn desc limit 1)
    )
where id = $1 and tenant = $2 and status in ('failed', 'cancelled') and expires_at > clock_timestamp() + interval '10 seconds'
returning *;

-- name: resumable_jobs
-- Failed, though another attempt may succeed; a page after ($2, $3), those that failed first at its beginning.
select * from jobs
where status = 'failed' and (error->'retryable')::boolean
  and (finished_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by finished_at, id
limit $1;

-- name: delete_job
-- completed | failed | cancelled | expired -> (gone): the bytes are gone already.
delete from jobs
where id = $1 and tenant = $2 and status in ('completed', 'failed', 'cancelled', 'expired')
returning *;

-- name: delete_jobs
-- completed | failed | cancelled | expired -> (gone): the same for many; a janitor may have expired them since they were condemned.
delete from jobs
where id = any($1::uuid[]) and tenant = $2 and status in ('completed', 'failed', 'cancelled', 'expired')
returning *;

-- name: rescue_jobs
-- processing -> queued or failed: the worker stopped renewing its lease. The job keeps its place in the queue: with a backlog it would
-- otherwise wait behind all of it.
with lost as (
    select id from jobs
    where status = 'processing' and lease_until < now()
    order by lease_until
    limit $1
    for update skip locked
)
update jobs
set status = (case when attempt < max_attempts then 'queued' else 'failed' end)::job_status,
    error = $2, stage = null, progress = 0, lease_token = null, lease_until = null, worker = null,
    queued_at = case when attempt < max_attempts then now() else queued_at end,
    finished_at = case when attempt < max_attempts then null else now() end,
    expires_at = case when attempt < max_attempts then null else now() + retention end
from lost
where jobs.id = lost.id
returning jobs.*;

-- name: fail_poisonous_jobs
-- queued -> failed: of the given ones, those that have lost a worker, and not been given to another.
update jobs
set status = 'failed', error = $2, finished_at = now(), expires_at = now() + retention
where id = any($1::uuid[]) and status = 'queued' and attempt > 0 and error->>'code' = $3
returning *;

-- name: lift_jobs
-- queued -> queued: the first of a tenant's jobs in a band goes one band up when it has waited in it for longer than $1, as if it was
-- submitted now; but while the tenant has a lifted job there, no other, or what is urgent would wait behind all that is merely old.
with recursive tenants as (
    (select tenant from jobs where status = 'queued' order by tenant limit 1)
    union all
    select (select jobs.tenant from jobs where status = 'queued' and jobs.tenant > tenants.tenant order by jobs.tenant limit 1)
    from tenants where tenants.tenant is not null
), aged as (
    select head.* from tenants cross join (values (1), (2)) bands (band), lateral (
        select id, tenant, jobs.band, band_since from jobs
        where jobs.tenant = tenants.tenant and status = 'queued' and jobs.band = bands.band
        order by turn, id limit 1
    ) head
    where tenants.tenant is not null and band_since < now() - $1::interval and not exists (
        select from jobs lifted where lifted.tenant = head.tenant and lifted.status = 'queued' and lifted.band = head.band - 1
        and lifted.priority > lifted.band
    )
), lifted as (
    select jobs.id from aged join jobs on jobs.id = aged.id and jobs.status = 'queued' and jobs.band = aged.band
    limit $2
    for update of jobs skip locked
)
update jobs
set band = band - 1, band_since = now(), turn = 1 + greatest(
    (select turn from queue_rounds where band = jobs.band - 1),
    (select turn from jobs last where last.tenant = jobs.tenant and last.status = 'queued' and last.band = jobs.band - 1
     order by turn desc limit 1)
)
from lifted
where jobs.id = lifted.id
returning jobs.*;

-- name: count_tokens
-- In one snapshot: the jobs that may be claimed, those of them that have waited for longer than $1, and the tokens that no relay has
-- published yet. Of a tenant's jobs only so many may be claimed as the workers' limit leaves room for. A token that the broker refused is
-- put off although its job may be claimed, so it counts.
select jobs.claimable, jobs.waiting, events.unpublished
from (
    select coalesce(sum(least(queued.claimable, room)), 0)::bigint as claimable, coalesce(sum(least(queued.waiting, room)), 0)::bigint as waiting
    from (
        select tenant, count(*) as claimable, count(*) filter (where greatest(claim_after, queued_at) < now() - $1::interval) as waiting
        from jobs where status = 'queued' and claim_after <= now() group by tenant
    ) queued
    left join (select tenant, count(*) as jobs from jobs where status = 'processing' group by tenant) busy using (tenant)
    cross join (
        select case when bool_and(jobs_per_tenant is not null) then max(jobs_per_tenant) end as jobs from workers where alive_until > now()
    ) allowed
    cross join lateral (select greatest(0, allowed.jobs - coalesce(busy.jobs, 0)) as room where allowed.jobs is not null
                        union all select null where allowed.jobs is null) rooms
) jobs, (
    select count(*) as unpublished
    from outbox where type in ('job.created', 'job.requeued') and (available_at <= now() or attempt > 0)
) events;

-- name: tokenless_jobs
-- Queued for longer than $1 with no event of theirs waiting in the outbox: candidates for a new token, in the order of claims.
select * from jobs
where status = 'queued' and claim_after <= now() and greatest(claim_after, queued_at) < now() - $1::interval
  and not exists (select from outbox where outbox.subject = jobs.id::text and outbox.type in ('job.created', 'job.requeued'))
order by band, turn, id
limit $2;

-- name: next_of_tenant
-- The tenant's job that is claimed next.
select * from jobs where tenant = $1 and status = 'queued' and claim_after <= now() order by band, turn, id limit 1;

-- name: expired_jobs
-- Finished and past their time, a page after ($2, $3); the bytes go first, then `expire_jobs`. Those that are kept for no time at all are
-- `delivered_jobs`.
select * from jobs
where status in ('completed', 'failed', 'cancelled') and expires_at < now() and retention <> '0'
  and (expires_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by expires_at, id
limit $1;

-- name: delivered_jobs
-- The same, of jobs of which nothing is kept after delivery: once what its submitter is to get is there as deliveries (or has not come to be in
-- a week), nobody is still to be told how it ended, but for paused endpoints, and no link that was sent must still work. Where there is
-- nothing to deliver, after a minute: a call may wait for the result. The limits keep the planner from reading all deliveries.
select * from jobs
where retention = '0' and status in ('completed', 'failed', 'cancelled') and expires_at < now()
  and (expires_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
  and (
      (options->>'webhook_url' is null and (options->>'upload_presigned_url' is null or status <> 'completed')
       and expires_at < now() - interval '1 minute')
      or expires_at < now() - interval '7 days'
      or (select true from deliveries where deliveries.job_id = jobs.id and endpoint_id is null limit 1)
  )
  and (
      select true from deliveries left join endpoints on endpoints.id = deliveries.endpoint_id
      where deliveries.job_id = jobs.id and deliveries.state = 'pending' and deliveries.event_type = any($4::text[])
        and coalesce(endpoints.status <> 'paused', true)
      limit 1
  ) is null
  and (select true from deliveries where deliveries.job_id = jobs.id and keep_until > now() limit 1) is null
order by expires_at, id
limit $1;

-- name: uploading_jobs
-- Of the given ids, jobs whose result is still to be uploaded to where its submitter wanted it, which is over within days.
select distinct job_id from deliveries where job_id = any($1::uuid[]) and state = 'pending' and kind = 'upload';

-- name: expire_jobs
-- completed | failed | cancelled -> expired: the bytes are gone, the row stays as a tombstone with the receipt.
update jobs
set status = 'expired', result = null, expired_at = now(), receipt = gone.receipt
from unnest($1::uuid[], $2::jsonb[]) as gone (id, receipt)
where jobs.id = gone.id and status in ('completed', 'failed', 'cancelled') and expires_at < now()
returning jobs.*;

-- name: old_tombstones
-- expired -> (gone): nobody will ask any more.
delete from jobs
where id in (
    select id from jobs where status = 'expired' and expired_at < now() - $1::interval
    order by expired_at, id limit $2
    for update skip locked
)
returning *;

-- name: keep_receipts
-- For jobs whose rows are gone.
insert into receipts (job_id, tenant, receipt)
select * from unnest($1::uuid[], $2::text[], $3::jsonb[])
on conflict (job_id) do nothing;

-- name: get_receipt
-- What was deleted of a tenant's job, whether its tombstone is there or not.
select receipt from jobs where id = $1 and tenant = $2 and receipt is not null
union all
select receipt from receipts where job_id = $1 and tenant = $2
limit 1;

-- name: old_receipts
delete from receipts
where job_id in (
    select job_id from receipts where deleted_at < now() - $1::interval order by deleted_at, job_id limit $2 for update skip locked
)
returning deleted_at;

-- name: recordings_over
-- A page, after ($2, $3), of jobs that ended longer than $4 ago and still have their recording.
select * from jobs
where audio_deleted_at is null and status in ('completed', 'failed', 'cancelled') and finished_at < now() - $4::interval
  and (finished_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by finished_at, id
limit $1;

-- name: recordings_transcribed
-- The same of all that are completed.
select * from jobs
where audio_deleted_at is null and status in ('completed', 'failed', 'cancelled') and status = 'completed'
  and (finished_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by finished_at, id
limit $1;

-- name: recordings_replaced
-- The same of those that have a redacted copy instead.
select * from jobs
where audio_deleted_at is null and status = 'completed' and options ? 'redact'
  and (finished_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by finished_at, id
limit $1;

-- name: forget_recordings
-- The object is gone. It is not lost, should a look in between have found so.
update jobs set audio_deleted_at = now(), lost = array_remove(lost, 'recording')
where id = any($1::uuid[]) and audio_deleted_at is null and status in ('completed', 'failed', 'cancelled')
returning id;

-- name: holdings
-- A page, after $2, of jobs whose recording or result must be in the store.
select id, status, audio_deleted_at, lost, coalesce(result->'keys', '{}') as keys, options ? 'redact' as redact from jobs
where status in ('queued', 'completed', 'failed', 'cancelled') and id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
order by id
limit $1;

-- name: mark_lost
-- Only while nothing may have deleted it by right: a recording that is still the job's, a result that has not expired.
update jobs set lost = string_to_array(found.lost, ',')
from unnest($1::uuid[], $2::text[]) as found (id, lost)
where jobs.id = found.id and jobs.lost <> string_to_array(found.lost, ',')
  and status in ('queued', 'completed', 'failed', 'cancelled') and coalesce(expires_at > now(), true)
returning jobs.id;

-- name: untold_jobs
-- Ended longer ago than $1 and not longer than $2, wanted by the job's own URL or by an endpoint of its tenant, and neither among the deliveries
-- nor in the outbox.
select jobs.* from jobs
where status in ('completed', 'failed', 'cancelled') and finished_at < now() - $1::interval and finished_at > now() - $2::interval
  and (options->>'webhook_url' is not null or exists (
      select from endpoints
      where endpoints.tenant = jobs.tenant and endpoints.created_at < jobs.finished_at and 'job.' || jobs.status = any(endpoints.events)
  ))
  and not exists (
      select from deliveries
      where deliveries.job_id = jobs.id and deliveries.event_type = 'job.' || jobs.status and deliveries.created_at >= jobs.finished_at
  )
  and not exists (select from outbox where outbox.subject = jobs.id::text and outbox.type = 'job.' || jobs.status)
order by finished_at
limit $3;

-- name: lost_since
-- When the lease ran out that ran out first, of those that have.
select min(lease_until) from jobs where status = 'processing' and lease_until < now();

-- name: tell_upload
update jobs set upload = $2 where id = $1;

-- name: count_jobs
-- For /metrics.
select status::text as status, count(*) as jobs from jobs group by status;

-- name: job_owners
-- Of the given ids, those that are jobs, and what they say about their objects.
select id, status, lease_token, result from jobs where id = any($1::uuid[]);
