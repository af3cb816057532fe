-- Events are counted by type every two seconds, those that are due and those that the broker refused, however many wait for their time.

create index outbox_by_type on outbox (type, available_at);
create index outbox_refused on outbox (type, available_at) where attempt > 0;
