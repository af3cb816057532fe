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
-- put off although its job may be claimed, so it counts. Two counts, as one condition for both would be answered by reading all events.
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
    select (select count(*) from outbox where type in ('job.created', 'job.requeued') and available_at <= now())
         + (select count(*) from outbox where type in ('job.created', 'job.requeued') and available_at > now() and attempt > 0) as unpublished
) events;

-- name: tokenless_jobs
-- Queued for longer than $1 with no event of theirs waiting in the outbox: candidates for a new token, in the order of claims. None that is
-- being claimed: it would be announced as queued after it was started.
select * from jobs
where status = 'queued' and claim_after <= now() and greatest(claim_after, queued_at) < now() - $1::interval
  and not exists (select from outbox where outbox.subject = jobs.id::text and outbox.type in ('job.created', 'job.requeued'))
order by band, turn, id
limit $2
for update skip locked;

-- name: next_of_tenant
-- The tenant's job that is claimed next, unless it is being claimed.
select * from jobs where tenant = $1 and status = 'queued' and claim_after <= now() order by band, turn, id limit 1 for update skip locked;

-- name: untold_jobs
-- Ended longer ago than $1 and not longer than $2, wanted by a URL of the job's own or by an endpoint of its tenant, and neither among the deliveries
-- nor in the outbox, of which the ends are read and nothing else.
select jobs.* from jobs
where status in ('completed', 'failed', 'cancelled') and finished_at < now() - $1::interval and finished_at > now() - $2::interval
  and (options->>'webhook_url' is not null or options->>'upload_presigned_url' is not null and status = 'completed'
       or exists (select from endpoints where hears_end(endpoints, jobs)))
  and not exists (
      select from deliveries
      where deliveries.job_id = jobs.id and deliveries.event_type = 'job.' || jobs.status and deliveries.created_at >= jobs.finished_at
  )
  and (jobs.id::text, 'job.' || jobs.status) not in (
      select subject, type from outbox where type in ('job.completed', 'job.failed', 'job.cancelled')
  )
order by finished_at
limit $3;

-- name: lost_since
-- When the lease ran out that ran out first, of those that have.
select min(lease_until) from jobs where status = 'processing' and lease_until < now();
