-- name: list_letters
-- A page, newest first; `dead_letters` adds the conditions that were asked for. They are poison: there should be none.
select * from dead_letters where true {conditions} order by recorded_at desc, id desc limit $1;

-- name: of_queue
and queue = ${n}

-- name: of_job
and job_id = ${n}::uuid

-- name: after_position
and (recorded_at, id) < (${n}::timestamptz, ${m}::uuid)

-- name: get_letter
select * from dead_letters where id = $1;

-- name: drop_letter
delete from dead_letters where id = $1 returning *;
