-- name: old_keys
-- Answered long ago, or of a request that died.
delete from idempotency_keys
where (tenant, key) in (
    select tenant, key from idempotency_keys where expires_at < now() order by expires_at limit $1 for update skip locked
)
returning expires_at;
