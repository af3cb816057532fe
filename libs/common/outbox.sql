-- name: add_event
insert into outbox (event_id, type, source, subject, body, trace, available_at)
values ($1, $2, $3, $4, $5, $6, now() + $7::interval);

-- name: restore_event
insert into outbox (event_id, type, source, subject, body, trace, created_at) values ($1, $2, $3, $4, $5, $6, $7);

-- name: add_events
-- Many of one type, due at once.
insert into outbox (event_id, type, source, subject, body, trace)
select event_id, $1, $2, subject, body, trace
from unnest($3::uuid[], $4::text[], $5::bytea[], $6::text[]) as news (event_id, subject, body, trace);

-- name: count_due_events
select count(*) from (select from outbox where available_at <= now() limit $1) due;

-- name: take_events
-- Locks what it returns until the relay's transaction ends; a relay that dies unlocks them by dying.
select id, event_id, type, source, subject, body, trace, created_at
from outbox
where available_at <= now()
order by available_at, id
limit $1
for update skip locked;

-- name: delete_events
delete from outbox where id = any($1::bigint[]);

-- name: postpone_events
update outbox
set attempt = least(attempt + 1, 100), available_at = now() + least(interval '1 second' * power(2, least(attempt, 6)), interval '1 minute')
where id = any($1::bigint[]);

-- name: next_due
-- By the moment at which the transaction began, like take_events: what it calls due in the same transaction was due to that as well.
select min(available_at) - now() from outbox;
