-- name: read_state
-- Where one job of a tenant stands.
select id, revision, status, stage, progress, attempt, error from jobs where id = $1 and tenant = $2;

-- name: read_states
-- Where many jobs stand: one read for all who watch them.
select id, revision, status, stage, progress, attempt, error from jobs where id = any($1::uuid[]);
