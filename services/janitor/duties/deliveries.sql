-- name: old_deliveries
-- delivered | failed -> (gone), with their attempts. What is still to be sent is kept, however old. An array, as the planner, who does not know
-- how many $2 are, would join a set with all that there is.
delete from deliveries
where id = any(array(
    select id from deliveries where state <> 'pending' and finished_at < now() - $1::interval
    order by finished_at, id limit $2
    for update skip locked
))
returning finished_at;
