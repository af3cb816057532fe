-- Webhook endpoints of tenants, and the secrets that their webhooks, and those of jobs' own, are signed with.

create table endpoints (
    id              uuid primary key,
    tenant          text not null,
    url             text not null,
    events          text[] not null,
    description     text not null,
    status          text not null default 'enabled' check (status in ('enabled', 'paused', 'disabled')),
    failing_since   timestamptz,                  -- the first failure after the last success
    disabled_at     timestamptz,
    disabled_reason text,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    check ((status = 'disabled') = (disabled_at is not null)),
    check ((disabled_at is null) = (disabled_reason is null))
);

create index endpoints_by_tenant on endpoints (tenant, id);

-- As they are, since a signature needs them; in a table of their own, which nothing reads that answers or announces.
create table webhook_secrets (
    id          uuid primary key,
    tenant      text not null,
    endpoint_id uuid references endpoints on delete cascade,  -- null: for the webhook_url of the tenant's jobs
    secret      text not null,
    created_at  timestamptz not null default now(),
    expires_at  timestamptz                       -- null: the current one
);

create unique index webhook_secrets_of_endpoint on webhook_secrets (endpoint_id) where expires_at is null and endpoint_id is not null;
create unique index webhook_secrets_of_tenant on webhook_secrets (tenant) where expires_at is null and endpoint_id is null;
create index webhook_secrets_by_endpoint on webhook_secrets (endpoint_id);
create index webhook_secrets_by_tenant on webhook_secrets (tenant) where endpoint_id is null;

-- Without an endpoint_id it goes to the job's own webhook_url; without a job_id it is no job's event.
alter table deliveries
    add column endpoint_id uuid references endpoints on delete cascade,
    alter column job_id drop not null,
    drop constraint deliveries_event_id_endpoint_key,
    add check (num_nonnulls(endpoint_id, job_id) > 0);

create unique index deliveries_of_job_once on deliveries (event_id) where endpoint_id is null;
create unique index deliveries_of_endpoint_once on deliveries (event_id, endpoint_id) where endpoint_id is not null;
create index deliveries_by_endpoint on deliveries (endpoint_id, created_at desc, id desc) where endpoint_id is not null;
create index deliveries_pending_by_endpoint on deliveries (endpoint_id) where state = 'pending' and endpoint_id is not null;
