-- name: enter_lanes
-- The lanes of what messages name ($1), whether or not it has been made, and of attempts that have ended ($2, to the endpoints $3), with whose
-- they are; locked until the end of the transaction, so that nobody else takes a place there. `entered` is false where somebody else has it, and
-- null where nothing is due.
-- `unprobed`: it is shut, and nobody has been sent to look when the time is up.
with asked as (
    select lane, endpoint_id, id, event_type from unnest($1::uuid[]) as named (id) join deliveries using (id)
    union all
    select lane, endpoint_id, null, null from unnest($2::text[], $3::uuid[]) as ended (lane, endpoint_id)
), wanted as (
    select lane, (array_agg(endpoint_id))[1] as endpoint_id, count(*) as wanted, array_remove(array_agg(id), null) as named,
           coalesce(array_agg(id) filter (where event_type = 'webhook.test'), '{}') as tests
    from asked
    group by lane
)
select lane, coalesce((select tenant from endpoints where endpoints.id = wanted.endpoint_id), split_part(lane, ' ', 1)) as tenant,
       wanted, named, tests, coalesce(shut_until > now() and probe_at is distinct from shut_until, false) as unprobed,
       case when due then pg_try_advisory_xact_lock(hashtextextended('lane ' || lane, 0)) end as entered
from wanted left join lanes on lanes.key = lane left join lateral (
    select true as due from deliveries
    where deliveries.lane = wanted.lane and state = 'pending' and due_at <= now()
    order by due_at, id
    limit 1
) next on true;

-- name: claim_attempts
-- pending -> pending: in each lane ($1, entered by the caller) up to so many ($2) of the attempts that have been due for longest are ours until
-- the new due_at, which is also the token that their records are guarded by; as many as there are places for among the $6 of the lane (one
-- where the last request got no answer, none while it is shut or its endpoint is paused, but for the tests, $3, that were named). They go
-- where the endpoint is now, under the secrets that are live now.
with entered as (
    select lane, wanted, coalesce(shut_until > now(), false) or coalesce(status <> 'enabled', false) as closed,
           greatest(0, case when lanes.key is null then $6::bigint else 1 end - (
               select count(*) from deliveries busy
               where busy.lane = asked.lane and busy.in_flight and busy.state = 'pending' and busy.due_at > now()
           )) as room
    from unnest($1::text[], $2::bigint[]) as asked (lane, wanted)
    left join lanes on lanes.key = lane
    left join endpoints on endpoints.id = (
        select endpoint_id from deliveries next
        where next.lane = asked.lane and next.state = 'pending' and next.due_at <= now()
        order by next.due_at, next.id
        limit 1
    )
), chosen as (
    select due.id from entered cross join lateral (
        select id from deliveries
        where lane = entered.lane and state = 'pending' and due_at <= now()
        order by due_at, id
        limit case when closed then 0 else least(wanted, room) end
        for update skip locked
    ) due
), tests as (
    select due.id from entered cross join lateral (
        select id from deliveries
        where id = any($3::uuid[]) and lane = entered.lane and state = 'pending' and due_at <= now()
        order by due_at, id
        limit case when closed then room else 0 end
        for update skip locked
    ) due
)
update deliveries
set due_at = now() + case kind when 'upload' then $5::interval else $4::interval end, in_flight = true,
    endpoint = coalesce((select url from endpoints where endpoints.id = deliveries.endpoint_id), endpoint)
from (select id from chosen union all select id from tests) claimed
where deliveries.id = claimed.id
returning deliveries.id, job_id, endpoint_id, event_id, event_type, kind, form, endpoint, lane, body, attempt + 1 as attempt,
          attempt + 1 - attempts_before as turn, postponed_since, due_at as claim, now() as claimed_at,
          (select trace from jobs where jobs.id = job_id) as trace, array(
    select secret from webhook_secrets live
    where coalesce(live.expires_at > now(), true) and deliveries.kind = 'webhook'
      and case when deliveries.endpoint_id is not null then live.endpoint_id = deliveries.endpoint_id
               else live.endpoint_id is null and live.tenant = (select tenant from jobs where jobs.id = deliveries.job_id) end
    order by live.created_at desc
) as secrets;

-- name: claimed_before
-- What may be left of one who died: the attempt that the message names ($1, $2), while it is claimed; if that has been made, or for a lane
-- alone ($3), all that are claimed in the lane.
with named as (
    select lane, state = 'pending' and attempt = $2 - 1 as pending from deliveries where id = $1::uuid
    union all
    select $3, false where $3::text is not null
)
select claimed.id, claimed.job_id, claimed.endpoint_id, claimed.attempt, greatest(claimed.due_at - now(), interval '0') as wait
from named join deliveries claimed on claimed.lane = named.lane
where claimed.in_flight and claimed.state = 'pending' and (claimed.id = $1 or not pending);
