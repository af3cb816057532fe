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

-- name: expired_jobs
-- Finished and past their time, a page after ($2, $3); the bytes go first, then `expire_jobs`. Those that are kept for no time at all are
-- `delivered_jobs`.
select * from jobs
where status in ('completed', 'failed', 'cancelled') and expires_at < now() and retention <> '0'
  and (expires_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by expires_at, id
limit $1;

-- name: delivered_jobs
-- The same, of jobs of which nothing is kept after delivery: once the notifier has heard how it ended this time (or has not in a week), nobody
-- is still to be told of that, but for paused endpoints, and no link that was sent must still work. Where nobody is to be told, after a minute:
-- a call may wait for the result. The limits keep the planner from reading all deliveries.
select * from jobs
where retention = '0' and status in ('completed', 'failed', 'cancelled') and expires_at < now()
  and (expires_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
  and (
      (select true from deliveries
       where deliveries.job_id = jobs.id and deliveries.event_type = 'job.' || jobs.status and deliveries.created_at >= jobs.finished_at limit 1)
      or expires_at < now() - interval '7 days'
      or (options->>'webhook_url' is null and (options->>'upload_presigned_url' is null or status <> 'completed')
          and expires_at < now() - interval '1 minute'
          and not exists (select from endpoints where hears_end(endpoints, jobs) and endpoints.status = 'enabled'))
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

-- name: promised_jobs
-- Of the given ids, jobs whose result is still on its way: to be uploaded, to stand in a webhook (but for paused endpoints), or behind a link that
-- was sent and must still work. Or the notifier has not heard of it, as far as can be told: $2 after its end its deliveries may be forgotten.
-- None that its owner wanted deleted (`condemn_job`).
select id from jobs
where id = any($1::uuid[]) and status = 'completed' and expires_at <> created_at and (
    exists (
        select from deliveries left join endpoints on endpoints.id = deliveries.endpoint_id
        where deliveries.job_id = jobs.id and deliveries.event_type = 'job.completed' and (
            keep_until > now()
            or deliveries.state = 'pending' and (kind = 'upload' or form <> 'thin') and coalesce(endpoints.status <> 'paused', true)
        )
    )
    or finished_at > now() - $2::interval
        and not exists (select from deliveries where deliveries.job_id = jobs.id and deliveries.event_type = 'job.completed')
        and (
            options->>'upload_presigned_url' is not null
            or options->>'webhook_url' is not null and coalesce(options->>'webhook_payload', 'thin') <> 'thin'
            or exists (select from endpoints where hears_end(endpoints, jobs) and endpoints.status = 'enabled' and payload <> 'thin')
        )
);

-- name: expire_jobs
-- completed | failed | cancelled -> expired: the bytes are gone, the row stays as a tombstone with the receipt.
update jobs
set status = 'expired', result = null, expired_at = now(), receipt = gone.receipt
from unnest($1::uuid[], $2::jsonb[]) as gone (id, receipt)
where jobs.id = gone.id and status in ('completed', 'failed', 'cancelled') and expires_at < now()
returning jobs.*;

-- name: old_tombstones
-- expired -> (gone): nobody will ask any more, nor is anybody still to be told, for the deliveries go with it. A page after ($3, $4).
with gone as (
    delete from jobs
    where id in (
        select id from jobs
        where status = 'expired' and expired_at < now() - $1::interval
          and (expired_at, id) > (coalesce($3, '-infinity'::timestamptz), coalesce($4, '00000000-0000-0000-0000-000000000000'::uuid))
          and not exists (select from deliveries where deliveries.job_id = jobs.id and deliveries.state = 'pending')
        order by expired_at, id limit $2
        for update skip locked
    )
    returning *
)
select * from gone order by expired_at, id;

-- name: forget_answers
-- What their submissions were answered tells as much of the jobs as their rows did. The keys stay, so that a repeat makes no job again.
update idempotency_keys set answer = null where job_id = any($1::uuid[]) and answer is not null;

-- name: forget_letters
-- That messages about them were given up is kept, and nothing of what was in those.
update dead_letters set job_id = null, headers = '{}', body = '' where job_id = any($1::uuid[]);

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
