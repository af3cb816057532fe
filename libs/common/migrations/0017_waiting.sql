-- What waits for a place in its lane is told by being due, and is found in order of that; a message that comes for a full lane writes nothing.

drop index deliveries_parked;
alter table deliveries drop column parked;
create index deliveries_waiting on deliveries (lane, due_at, id) where state = 'pending';
