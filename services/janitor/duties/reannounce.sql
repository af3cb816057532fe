-- name: count_attempts
-- In one snapshot: the attempts that have been due for longer than $1 and are not being made, and announcements that no relay has published
-- yet. For a paused endpoint nothing is attempted; what waits for another attempt in its lane to end does so as long as there is one.
select (
    select count(*) from deliveries left join endpoints on endpoints.id = deliveries.endpoint_id
    where deliveries.state = 'pending' and due_at < now() - $1::interval
      and (coalesce(endpoints.status, 'enabled') = 'enabled' or deliveries.event_type = 'webhook.test')
      and not exists (select from deliveries busy where busy.lane = deliveries.lane and busy.in_flight and busy.state = 'pending'
                      and busy.due_at > now() - $1::interval)
      and not exists (select from lanes where lanes.key = deliveries.lane and probe_at > now() - $1::interval)
) as overdue, (
    select count(*) from outbox where type = 'delivery.due' and available_at <= now()
) + (
    select count(*) from outbox where type = 'delivery.due' and available_at > now() and attempt > 0
) as unpublished;

-- name: overdue_attempts
-- pending -> pending: the attempt is due from now on, so that it is not found overdue again before its announcement can have arrived.
with overdue as (
    select deliveries.id, due_at from deliveries left join endpoints on endpoints.id = deliveries.endpoint_id
    where deliveries.state = 'pending' and due_at < now() - $1::interval
      and (coalesce(endpoints.status, 'enabled') = 'enabled' or deliveries.event_type = 'webhook.test')
      and not exists (select from deliveries busy where busy.lane = deliveries.lane and busy.in_flight and busy.state = 'pending'
                      and busy.due_at > now() - $1::interval)
      and not exists (select from lanes where lanes.key = deliveries.lane and probe_at > now() - $1::interval)
    order by due_at
    limit $2
    for update of deliveries skip locked
)
update deliveries set due_at = now()
from overdue
where deliveries.id = overdue.id
returning deliveries.id, job_id, endpoint_id, attempt, overdue.due_at as overdue_since;
