-- name: count_attempts
-- In one snapshot: the attempts that have been due for longer than $1 and are not being made, and announcements that no relay has published
-- yet. For a paused endpoint nothing is attempted; what waits for another attempt in its lane to end does so as long as there is one; and
-- where something was announced again it is waited for.
select (
    select count(*) from deliveries left join endpoints on endpoints.id = deliveries.endpoint_id
    where deliveries.state = 'pending' and due_at < now() - $1::interval
      and (coalesce(endpoints.status, 'enabled') = 'enabled' or deliveries.event_type = 'webhook.test')
      and not exists (select from deliveries busy where busy.lane = deliveries.lane and busy.in_flight and busy.state = 'pending'
                      and busy.due_at > now() - $1::interval)
      and not exists (select from overdue_lanes told where told.lane = deliveries.lane and announced_at > now() - $1::interval)
      and not exists (select from lanes where lanes.key = deliveries.lane and probe_at > now() - $1::interval)
) as overdue, (
    select count(*) from outbox where type = 'delivery.due' and available_at <= now()
) + (
    select count(*) from outbox where type = 'delivery.due' and available_at > now() and attempt > 0
) as unpublished;

-- name: overdue_attempts
-- Those of them that have been due for longest, $2 in all and of each lane up to $3; not of a lane that another has announced meanwhile.
with overdue as (
    select deliveries.id, job_id, deliveries.endpoint_id, attempt, lane, due_at,
           row_number() over (partition by lane order by due_at, deliveries.id) as place
    from deliveries left join endpoints on endpoints.id = deliveries.endpoint_id
    where deliveries.state = 'pending' and due_at < now() - $1::interval
      and (coalesce(endpoints.status, 'enabled') = 'enabled' or deliveries.event_type = 'webhook.test')
      and not exists (select from deliveries busy where busy.lane = deliveries.lane and busy.in_flight and busy.state = 'pending'
                      and busy.due_at > now() - $1::interval)
      and not exists (select from overdue_lanes told where told.lane = deliveries.lane and announced_at > now() - $1::interval)
      and not exists (select from lanes where lanes.key = deliveries.lane and probe_at > now() - $1::interval)
), chosen as (
    select * from overdue where place <= $3 order by due_at limit $2
), told as (
    insert into overdue_lanes (lane) select distinct lane from chosen order by lane
    on conflict (lane) do update set announced_at = now() where overdue_lanes.announced_at <= now() - $1::interval
    returning lane
)
select id, job_id, endpoint_id, attempt, greatest(due_at, before.announced_at) as overdue_since
from chosen join told using (lane) left join overdue_lanes before using (lane)
order by due_at;

-- name: forget_lanes
delete from overdue_lanes where announced_at < now() - interval '1 day';
