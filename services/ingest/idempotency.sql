-- name: reserve_key
-- Takes a key that is new, whose answer is too old to be repeated, or whose request died: its lease has run out.
insert into idempotency_keys as held (tenant, key, lease_token, expires_at)
values ($1, $2, $3, now() + $4)
on conflict (tenant, key) do update
set lease_token = $3, expires_at = now() + $4, fingerprint = null, job_id = null, answer = null
where held.expires_at < now()
returning lease_token;

-- name: read_key
select fingerprint, job_id, answer from idempotency_keys where tenant = $1 and key = $2;

-- name: renew_key
-- The request is still being carried out.
update idempotency_keys set expires_at = now() + $4 where tenant = $1 and key = $2 and lease_token = $3;

-- name: answer_key
-- In the transaction that creates the job; 0 rows: the lease ran out and another request took the key, so this one must not be carried out.
update idempotency_keys
set lease_token = null, expires_at = now() + $4, fingerprint = $5, job_id = $6, answer = $7
where tenant = $1 and key = $2 and lease_token = $3
returning key;

-- name: release_key
-- The request was refused or failed: nothing came of it, and the key may be used again.
delete from idempotency_keys where tenant = $1 and key = $2 and lease_token = $3;
