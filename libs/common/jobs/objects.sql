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
-- The object is gone. It is not lost, should a look in between have found so; one of $2 was lost before, and nobody has deleted it.
update jobs set audio_deleted_at = now(), lost = case when id = any($2::uuid[]) then lost else array_remove(lost, 'recording') end
where id = any($1::uuid[]) and audio_deleted_at is null and status in ('completed', 'failed', 'cancelled')
returning id;

-- name: holdings
-- A page, after $2, of jobs whose recording or result must be in the store.
select id, status, audio_deleted_at, lost, coalesce(result->'keys', '{}') as keys, options ? 'redact' as redact from jobs
where status in ('queued', 'completed', 'failed', 'cancelled') and id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
order by id
limit $1;

-- name: mark_lost
-- Only while nothing may have deleted it by right: a result that has not expired, and a recording that is still the job's: one that was deleted
-- since the job was read is not lost, whatever else is, unless it was so before.
update jobs
set lost = array_remove(found.lost, case when audio_deleted_at is not null and 'recording' <> all(jobs.lost) then 'recording' end)
from (select id, string_to_array(names, ',') as lost from unnest($1::uuid[], $2::text[]) as told (id, names)) found
where jobs.id = found.id
  and jobs.lost <> array_remove(found.lost, case when audio_deleted_at is not null and 'recording' <> all(jobs.lost) then 'recording' end)
  and status in ('queued', 'completed', 'failed', 'cancelled') and coalesce(expires_at > now(), true)
returning jobs.id, jobs.lost;

-- name: job_owners
-- Of the given ids, those that are jobs, and what they say about their objects.
select id, status, lease_token, result from jobs where id = any($1::uuid[]);
