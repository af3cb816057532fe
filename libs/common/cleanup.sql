-- name: forget_cleanups
-- Those that nobody will ask about any more.
delete from cleanups where requested_at < now() - interval '7 days';

-- name: add_cleanup
insert into cleanups (id, request) values ($1, $2);

-- name: finish_cleanup
with done as (
    update cleanups set finished_at = now(), reports = $2 where id = $1 and finished_at is null returning id
)
select pg_notify('cleanup', id::text) from done;

-- name: read_cleanup
select id, request, requested_at, finished_at, reports from cleanups where id = $1;
