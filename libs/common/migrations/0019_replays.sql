-- Deliveries that are asked for again begin a schedule of their own, and days on which an endpoint was tried are told apart.

alter table deliveries
    add column attempts_before smallint not null default 0;  -- of the attempts made, those before it was last asked for again

alter table endpoints
    add column failed_on date[] not null default '{}';       -- days (UTC) since failing_since on which an attempt failed
