-- name: create_upload
-- (new) -> uploading. The store has begun a multipart upload for it.
insert into uploads (id, tenant, protocol, filename, metadata, size, sha256, part_size, multipart_id, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10)
returning *;

-- name: get_upload
select * from uploads where id = $1 and tenant = $2 and status <> 'abandoned' and expires_at > now();

-- name: lease_upload
-- Nobody else works on it until the lease ends.
update uploads
set lease_token = $3, lease_until = now() + $4
where id = $1 and tenant = $2 and status = 'uploading' and expires_at > now() and (lease_until is null or lease_until < now())
returning *;

-- name: renew_upload
update uploads set lease_until = now() + $3 where id = $1 and lease_token = $2;

-- name: release_upload
update uploads set lease_token = null, lease_until = null where id = $1 and lease_token = $2;

-- name: touch_upload
-- A sign of life: the client asks for more addresses.
update uploads set expires_at = now() + $3
where id = $1 and tenant = $2 and status = 'uploading' and expires_at > now()
returning *;

-- name: take_part
-- Each number is given out once: a request that lost its lease may still be sending a part, and must not overwrite what came after.
update uploads set next_part = next_part + 1 where id = $1 and lease_token = $2 returning next_part - 1;

-- name: advance_upload
-- More bytes are safe, in parts and in the tail; 0 rows tell the request that the upload is no longer its own.
update uploads
set received = $3, tail = $4, expires_at = now() + $5
where id = $1 and lease_token = $2
returning *;

-- name: add_parts
insert into upload_parts (upload_id, number, etag, size)
select $1, number, etag, size from unnest($2::integer[], $3::text[], $4::bigint[]) as parts (number, etag, size);

-- name: read_parts
select number, etag, size from upload_parts where upload_id = $1 order by number;

-- name: finish_upload
-- uploading -> ready: the object is there, and is the recording that was announced.
update uploads
set status = 'ready', source = $3, received = size, tail = null, lease_token = null, lease_until = null, expires_at = now() + $4
where id = $1 and lease_token = $2 and status = 'uploading'
returning *;

-- name: submit_upload
-- ready -> submitted: in the transaction that creates the job, to which the object belongs from then on.
update uploads set status = 'submitted' where id = $1 and tenant = $2 and status = 'ready' and expires_at > now() returning *;

-- name: abandon_upload
-- uploading | ready -> abandoned: nobody can use it any more; its bytes go next, and the row after them.
update uploads
set status = 'abandoned', lease_token = null, lease_until = null, expires_at = now()
where id = $1 and tenant = $2 and status in ('uploading', 'ready')
returning *;

-- name: expire_upload
-- uploading | ready -> abandoned: no job was made of it in time. A job that is being made of it at this moment goes first.
update uploads set status = 'abandoned', lease_token = null, lease_until = null
where id = $1 and status in ('uploading', 'ready') and expires_at <= now()
returning *;

-- name: forget_upload
-- abandoned | submitted -> (gone): its bytes are gone, or are the job's.
delete from uploads where id = $1 and status in ('abandoned', 'submitted') and expires_at <= now() returning id;

-- name: expired_uploads
-- A page of what is past its time, after ($2, $3).
select * from uploads
where expires_at <= now()
  and (expires_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by expires_at, id
limit $1;

-- name: read_uploads
-- Of the given ids, those that are uploads.
select * from uploads where id = any($1::uuid[]);
