-- What stands between a request and a job: idempotency keys, rate limits, and how much of the queue a tenant has.

create table idempotency_keys (
    tenant      text not null,
    key         text not null,
    lease_token uuid,                             -- the request that is being carried out; null once it has its answer
    expires_at  timestamptz not null,             -- of the lease, then of the answer; past it the key is free
    fingerprint bytea,                            -- SHA-256 of what was asked for
    job_id      uuid,
    answer      bytea,                            -- the body that was sent, byte for byte
    primary key (tenant, key),
    check (num_nulls(fingerprint, job_id, answer) = case when lease_token is null then 0 else 3 end)
);

create index idempotency_keys_expiring on idempotency_keys (expires_at);

-- A bucket is the time at which it will be full again. Lost in a crash of the server, which fills all of them: no harm, and no WAL.
create unlogged table rate_limits (
    key_id  uuid primary key,
    full_at timestamptz not null
);

create index jobs_queued_by_tenant on jobs (tenant) where status = 'queued';
