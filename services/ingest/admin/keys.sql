-- name: key_of_hash
select id, tenant, name, scopes, revoked_at is null and coalesce(expires_at > now(), true) as live, created_at, expires_at, revoked_at
from api_keys where hash = $1;

-- name: get_key
select id, tenant, name, scopes, revoked_at is null and coalesce(expires_at > now(), true) as live, created_at, expires_at, revoked_at
from api_keys where id = $1;

-- name: list_keys
-- Of one tenant, or of all.
select id, tenant, name, scopes, revoked_at is null and coalesce(expires_at > now(), true) as live, created_at, expires_at, revoked_at
from api_keys where $1::text is null or tenant = $1 order by id;

-- name: revoke_key
-- Once and for all: the time of the first revocation stays.
update api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1 returning id;
