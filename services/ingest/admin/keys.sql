-- name: key_of_hash
select id, tenant, name, scopes, revoked_at is null and coalesce(expires_at > now(), true) as live, created_at, expires_at, revoked_at
from api_keys where hash = $1;

-- name: get_key
select id, tenant, name, scopes, revoked_at is null and coalesce(expires_at > now(), true) as live, created_at, expires_at, revoked_at
from api_keys where id = $1;

-- name: list_keys
-- A page, newest first, as ids are made; `keys` adds the conditions that were asked for.
select id, tenant, name, scopes, revoked_at is null and coalesce(expires_at > now(), true) as live, created_at, expires_at, revoked_at
from api_keys where true {conditions} order by id desc limit $1;

-- name: of_tenant
and tenant = ${n}

-- name: after_key
and id < ${n}::uuid

-- name: revoke_key
-- Once and for all: the time of the first revocation stays.
update api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1 returning id;
