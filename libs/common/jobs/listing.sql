-- name: list_jobs
-- A page of a tenant's jobs, newest first; `listing` adds the conditions that were asked for, and only those, so that each has its index.
select * from jobs where tenant = $1 {conditions} order by created_at desc, id desc limit $2;

-- name: with_status
and status = ${n}::job_status

-- name: created_after
and created_at > ${n}::timestamptz

-- name: created_before
and created_at < ${n}::timestamptz

-- name: with_metadata
and options->'metadata' @> ${n}::jsonb

-- name: after_position
and (created_at, id) < (${n}::timestamptz, ${m}::uuid)

-- name: plan_for_these_values
-- How many jobs share a value differs too much for one plan to serve all values: a rare one is looked up, a common one met on the way.
set local plan_cache_mode = force_custom_plan;
