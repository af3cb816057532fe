-- The few that failed, in a log of which most was delivered: what is looked for in it.

create index deliveries_failed_by_endpoint on deliveries (endpoint_id, created_at desc, id desc)
    where state = 'failed' and endpoint_id is not null;
