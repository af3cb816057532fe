-- name: lock_lexicons
-- Whether a tenant is below its limit can be told only when nobody else adds to its lexicons.
select pg_advisory_xact_lock(hashtextextended('lexicons ' || $1::text, 0));

-- name: create_lexicon
-- No row when the tenant has $6 lexicons already. The caller holds `lock_lexicons`.
insert into lexicons (id, tenant, name, corrections, hotwords)
select $1, $2, $3, $4, $5 where (select count(*) from lexicons where tenant = $2) < $6::integer
returning *;

-- name: get_lexicon
select * from lexicons where id = $1 and tenant = $2;

-- name: list_lexicons
-- A tenant's, oldest first, without what is in them; there are never more than the limit.
select id, name, jsonb_array_length(corrections) as corrections, jsonb_array_length(hotwords) as hotwords, created_at, updated_at
from lexicons where tenant = $1 order by id;

-- name: replace_lexicon
update lexicons set name = $3, corrections = $4, hotwords = $5, updated_at = now() where id = $1 and tenant = $2 returning *;

-- name: delete_lexicon
delete from lexicons where id = $1 and tenant = $2 returning id;

-- name: freeze_lexicon
-- The job's own copy of what the tenant's lexicon holds now; in the transaction that creates the job.
insert into job_lexicons (job_id, corrections, hotwords)
select $1, corrections, hotwords from lexicons where id = $2 and tenant = $3
returning job_id;

-- name: job_lexicon
select corrections, hotwords from job_lexicons where job_id = $1;
