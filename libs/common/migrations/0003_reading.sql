-- Pages of jobs: newest first, each filter through an index.

create index jobs_listed on jobs (tenant, created_at desc, id desc);
create index jobs_listed_by_status on jobs (tenant, status, created_at desc, id desc);

-- Not a partial index: the planner keeps statistics of an index's expression only for those that are whole, and without them it takes a value
-- that one job has for one that many have.
create index jobs_metadata on jobs using gin ((options->'metadata') jsonb_path_ops) with (fastupdate = off);

drop index jobs_by_tenant;
